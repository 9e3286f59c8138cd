"""Promise: what is taken for the text of a key can be looked up in the table, and the text is the only one it has."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.aws.dynamodb.keys import is_key
from replicator.documents import Document, key_text

NAMES = ("shop", "number")
KINDS = {"shop": "S", "number": "N", "raw": "B"}


def text_of(**key: str | Decimal | bytes) -> str:
    return key_text({**key})


@given(st.text(min_size=1, max_size=40), st.integers(-(10**37), 10**37))
def test_every_key_of_the_table_is_one(shop: str, number: int) -> None:
    key: Document = {"shop": shop, "number": Decimal(number)}
    assert is_key(key_text(key), NAMES, KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        text_of(shop="a"),
        text_of(shop="a", number=Decimal(1), more="b"),
        text_of(shop="a", number="1"),
        text_of(shop=Decimal(1), number=Decimal(1)),
        text_of(shop="", number=Decimal(1)),
        text_of(shop="é" * 1025, number=Decimal(1)),
        text_of(shop="a", number=Decimal("1E126")),
        text_of(shop="a", number=Decimal("1E-131")),
        text_of(shop="a", number=Decimal("1" * 39)),
        text_of(shop="a", number=Decimal(1)).replace(":", ": "),
        '{"shop":"a","number":{"N":"1"}}',
        '{"number":{"N":"1.0"},"shop":"a"}',
        '{"number":{"N":"NaN"},"shop":"a"}',
        '{"number":{"N":"1"},"shop":"\\ud800"}',
        '{"number":{"N":"1"},"shop":"b","shop":"a"}',
    ],
)
def test_no_other_text_is_a_key(text: str) -> None:
    assert not is_key(text, NAMES, KINDS)


@pytest.mark.parametrize(("size", "fits"), [(0, False), (1, True), (1024, True), (1025, False)])
def test_a_range_key_is_as_long_as_the_service_lets_it_be(size: int, fits: bool) -> None:
    assert is_key(text_of(shop="a", raw=bytes(size)), ("shop", "raw"), KINDS) is fits

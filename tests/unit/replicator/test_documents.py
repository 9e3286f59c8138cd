"""Promises of the neutral document: one text per key, one digest per value."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.documents import Document, digest, key_text, number_text, parse_key

numbers = st.decimals(allow_nan=False, allow_infinity=False, places=None).map(lambda n: n.normalize())
keys = st.dictionaries(st.text(min_size=1), st.one_of(st.text(), numbers, st.binary()), min_size=1, max_size=2)


@given(numbers)
def test_the_text_of_a_number_is_its_value(number: Decimal) -> None:
    assert Decimal(number_text(number)) == number


@given(numbers, st.integers(0, 9))
def test_equal_numbers_have_one_text(number: Decimal, zeros: int) -> None:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    padded = Decimal((sign, (*digits, *[0] * zeros), exponent - zeros))
    assert number_text(padded) == number_text(number)
    assert digest({"n": padded}) == digest({"n": number})


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("100", "100"),
        ("-12.50", "-12.5"),
        ("0.001", "0.001"),
        ("1E-130", "1E-130"),
        ("-0", "0"),
        ("1E21", "1E21"),
    ],
)
def test_numbers_read_plainly_while_that_is_short(number: str, text: str) -> None:
    assert number_text(Decimal(number)) == text


@given(keys)
def test_a_key_survives_its_text(key: dict[str, str | Decimal | bytes]) -> None:
    assert parse_key(key_text(dict(key))) == key


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "", "{", "key", '{"a":1}', '{"a":{"X":"1"}}']
    + [
        f'{{"a":{{"{kind}":"{value}"}}}}'
        for kind, value in [("N", "x"), ("N", ""), ("N", "NaN"), ("N", "inf"), ("B", "?")]
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — what JSON and base64 say is theirs
        parse_key(text)


def test_kinds_are_told_apart() -> None:
    alike: list[Document] = [
        {"a": "1"}, {"a": Decimal(1)}, {"a": b"1"}, {"a": True}, {"a": None}, {"a": ["1"]}, {"a": {"1": None}},
        {"a": frozenset({"1"})}, {"a": frozenset({Decimal(1)})}, {"a": frozenset({b"1"})}, {"a": []}, {"a": {}}, {},
    ]  # fmt: skip
    assert len({digest(d) for d in alike}) == len(alike)


def test_neither_the_order_of_names_nor_of_set_elements_matters() -> None:
    one: Document = {"a": "x", "b": frozenset({"p", "q"})}
    other: Document = {"b": frozenset({"q", "p"}), "a": "x"}
    assert digest(one) == digest(other)

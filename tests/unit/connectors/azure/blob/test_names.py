"""Promise: a key is a blob's name as it is, or refused; nothing is sent that would be changed on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.blob.names import MOST_SEGMENTS, blob_name, object_key, sort_key
from sandbox.workload.object_keys import KINDS

REFUSED = {"dot segment", "dot at the end", "backslash", "control", "white control", "not in XML"}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - REFUSED - {"late control", "many segments"}))
def test_a_key_that_arrives_is_the_name(kind: str) -> None:
    for key in KINDS[kind]:
        assert blob_name(key) == key
        if kind != "long":
            assert blob_name(key, "p/") == f"p/{key}"


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_what_would_become_another_name_or_break_listings_is_refused(kind: str) -> None:
    for key in KINDS[kind]:
        with pytest.raises(ValueError, match=r"slash|dot|character U\+"):
            blob_name(key)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "empty"),
        ("\x7f", "U\\+007F"),
        ("\ud800", "UTF-8"),
        ("/".join("p" * (MOST_SEGMENTS + 1)), "255 parts"),
        ("x" * 1025, "longer than 1024"),
        ("😀" * 513, "longer than 1024"),
    ],
)
def test_other_refusals_say_why(key: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        blob_name(key)


def test_the_prefix_counts_towards_the_limits() -> None:
    assert blob_name("x" * 1024)
    with pytest.raises(ValueError, match="longer"):
        blob_name("x" * 1024, "p/")
    with pytest.raises(ValueError, match="dot"):
        blob_name("/x", "a.")


@given(st.text(max_size=40), st.sampled_from(["", "p/", "a b"]))
def test_a_name_gives_its_key_back(key: str, prefix: str) -> None:
    try:
        name = blob_name(key, prefix)
    except ValueError:
        assert object_key(prefix + key, prefix) is None
    else:
        assert object_key(name, prefix) == key


def test_a_name_outside_the_prefix_has_no_key() -> None:
    assert object_key("other/x", "p/") is None
    assert object_key("p/", "p/") is None


def test_the_order_is_that_of_utf_16() -> None:
    names = ["order\uff5e", "order\U0001f600", "order", "orderA", "order-"]
    assert sorted(names, key=sort_key) == ["order", "order-", "orderA", "order\U0001f600", "order\uff5e"]

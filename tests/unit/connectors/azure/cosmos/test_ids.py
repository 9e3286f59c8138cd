"""Promises of the ids that keys are encoded to."""

from decimal import Decimal

import pytest
from azure.cosmos._base import GetPathFromLink, _validate_resource
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from connectors.azure.cosmos.ids import MAX_ID_BYTES, KeyPart, decode_id, encode_id
from strategies import key_parts, key_texts

keys = st.lists(key_parts, min_size=1, max_size=2)
awkward = st.text(st.sampled_from("ab.~|/\\?#%+ \t\n\x00\x7f\x85\u00a0\u2028é😀2E"), min_size=1, max_size=6)


def url_path(document_id: str) -> str:
    """The path by which the SDK and its HTTP client ask for a document."""
    return URL("http://localhost:1" + GetPathFromLink(f"dbs/d/colls/c/docs/{document_id}")).raw_path


def kinds_of(key: list[KeyPart]) -> list[type[KeyPart]]:
    return [type(part) for part in key]


@given(keys | st.lists(awkward, min_size=1, max_size=2))
@example([".."])
@example(["."])
def test_a_key_is_read_back_from_its_id(key: list[KeyPart]) -> None:
    assert decode_id(encode_id(key), kinds_of(key)) == key


@given(awkward | key_texts)
@example("..")
@example(".")
@example("a ")
@example("a\n")
def test_ids_are_legal_and_reach_the_server_unchanged(text: str) -> None:
    document_id = encode_id([text])
    _validate_resource({"id": document_id})
    assert not any(c in "/\\?#%" or ord(c) < 32 or 127 <= ord(c) < 160 for c in document_id)
    assert URL(url_path(document_id)).path == f"/dbs/d/colls/c/docs/{document_id}/"


@given(st.lists(st.tuples(awkward, awkward), min_size=2, max_size=8, unique=True))
def test_different_keys_have_different_ids(pairs: list[tuple[str, str]]) -> None:
    assert len({encode_id(pair) for pair in pairs}) == len(pairs)


@pytest.mark.parametrize(
    ("key", "document_id"),
    [
        (["c-17"], "c-17"),
        (["c-17", Decimal("1.50")], "c-17|1.5"),
        ([b"\xff\xfe\xfd\xfc"], "__79_A"),
        (["a|b", "c"], "a~7Cb|c"),
        (["a b", " a", "é"], "a b|~20a|é"),
        (["..", "...", "a."], "~2E~2E|...|a."),
        (["~2E"], "~7E2E"),
        (["\u0085x\u00a0"], "~C2~85x~C2~A0"),
        (["a/b", "c%2Fd"], "a~2Fb|c~252Fd"),
    ],
)
def test_ids_read_naturally(key: list[KeyPart], document_id: str) -> None:
    assert encode_id(key) == document_id


@pytest.mark.parametrize("text", ["x" * 1024, "é" * 512, "/" * 342, "~" * 2000])
def test_an_id_that_would_be_too_long_is_a_beginning_and_a_digest(text: str) -> None:
    document_id = encode_id([text])
    assert len(document_id.encode()) <= MAX_ID_BYTES
    assert encode_id([text + "x"]) != document_id
    assert "~~" in document_id
    _validate_resource({"id": document_id})
    with pytest.raises(ValueError, match="digest"):
        decode_id(document_id, [str])


@pytest.mark.parametrize("text", ["x" * 1023, "é" * 511, "/" * 341])
def test_an_id_of_full_length_is_kept(text: str) -> None:
    assert decode_id(encode_id([text]), [str]) == [text]


@pytest.mark.parametrize("key", [[""], [b""], ["a", ""], [Decimal("NaN")], [Decimal("sNaN")], [Decimal("-Infinity")]])
def test_what_no_key_attribute_can_be_is_refused(key: list[KeyPart]) -> None:
    with pytest.raises(ValueError, match=r"empty|finite"):
        encode_id(key)


@pytest.mark.parametrize(
    ("document_id", "kinds"),
    [
        ("a", [str, str]),
        ("a|b", [str]),
        ("a/b", [str]),
        ("~2f", [str]),
        ("~41", [str]),
        ("~FF", [str]),
        ("~", [str]),
        ("1.0", [Decimal]),
        ("x", [Decimal]),
        ("NaN", [Decimal]),
        ("_", [bytes]),
        ("!!!!", [bytes]),
        ("", [str]),
    ],
)
def test_what_no_key_is_encoded_to_is_refused(document_id: str, kinds: list[type[KeyPart]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_id(document_id, kinds)

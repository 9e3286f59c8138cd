"""Promise: metadata and tags come back exactly, whatever they are, and never meet our own."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.azure.blob.metadata import (
    MOST_METADATA_BYTES,
    RESERVED,
    check_metadata,
    decode_metadata,
    decode_tags,
    encode_metadata,
    encode_name,
    encode_tags,
    encode_value,
)
from sandbox.workload.object_labels import METADATA, METADATA_LIMIT_BYTES, TAGS

HEX_LIKE = st.text(st.sampled_from("_%=0123456789abcdefABCDEF-é"), max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | HEX_LIKE
NAMES = TEXTS.filter(bool)


@given(st.dictionaries(NAMES, TEXTS, max_size=6))
@example({"replicator_version": "x", "REPLICATOR_version": "y", "_72eplicator_version": "z"})
@example({"a_2d": "%2D", "a-": "%252D", "a_5f2d": " "})
@example({"A": "1", "a": "2"})
def test_metadata_comes_back_exactly(metadata: dict[str, str]) -> None:
    encoded = encode_metadata(metadata)
    assert decode_metadata(encoded) == metadata
    assert len({name.lower() for name in encoded}) == len(metadata), "told apart without regard to case"


@given(NAMES)
def test_a_name_is_an_identifier_in_lower_case_and_none_of_ours(name: str) -> None:
    encoded = encode_name(name)
    assert re.fullmatch(r"[a-z_][a-z0-9_]*", encoded)
    assert not encoded.startswith(RESERVED)


@given(TEXTS)
def test_a_value_is_printable_ascii_without_white_space_around(value: str) -> None:
    encoded = encode_value(value)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert encoded == encoded.strip()


@pytest.mark.parametrize("name", ["owner", "user_id", "class", "_x", "x1"])
def test_what_is_fine_stays_as_it_is(name: str) -> None:
    assert encode_metadata({name: "100% of a+b, ok"}) == {name: "100% of a+b, ok"}


def test_examples_of_the_documentation() -> None:
    assert encode_metadata({"cost-centre": "é", "1st": "50%25"}) == {"cost_2dcentre": "%C3%A9", "_31st": "50%2525"}
    assert encode_tags({"mail": "a@b"}) == {"mail": "a=40b"}


@pytest.mark.parametrize("char", ["x", "-", "%", "é", "%41", "_ab"])
def test_the_largest_metadata_of_s3_leaves_room_for_ours(char: str) -> None:
    count = (METADATA_LIMIT_BYTES - 1) // len(char.encode())
    for metadata in ({"v": char * count}, {char * count: "v"}):
        encoded = encode_metadata(metadata)
        check_metadata(encoded)
        assert sum(len(name) + len(value) for name, value in encoded.items()) <= MOST_METADATA_BYTES - 2000


def test_too_much_metadata_and_a_name_that_is_none_are_refused() -> None:
    with pytest.raises(ValueError, match="8193 bytes"):
        check_metadata({"a": "x" * 8192})
    with pytest.raises(ValueError, match="no name"):
        encode_name("")


@given(st.dictionaries(NAMES.filter(lambda n: len(n) < 12), TEXTS, max_size=5))
@example({"a=40": "=3D", "@": " "})
def test_tags_come_back_exactly_in_the_alphabet_of_blob_storage(tags: dict[str, str]) -> None:
    try:
        encoded = encode_tags(tags)
    except ValueError:
        assert any(len(name.encode()) * 3 > 128 or len(value.encode()) * 3 > 256 for name, value in tags.items())
        return
    assert decode_tags(encoded) == tags
    assert all(re.fullmatch(r"[A-Za-z0-9 +\-./:=_]*", text) for pair in encoded.items() for text in pair)


@pytest.mark.parametrize("label", [*TAGS])
def test_the_tags_of_the_corpus_are_carried(label: str) -> None:
    assert decode_tags(encode_tags(TAGS[label])) == TAGS[label]


@pytest.mark.parametrize("label", [*METADATA])
def test_the_metadata_of_the_corpus_is_carried(label: str) -> None:
    assert decode_metadata(encode_metadata(METADATA[label])) == METADATA[label]


def test_tags_that_do_not_fit_are_refused() -> None:
    for tags in ({"é" * 22: ""}, {"a": "é" * 43}, {f"t{n}": "" for n in range(11)}):
        with pytest.raises(ValueError, match="tag"):
            encode_tags(tags)

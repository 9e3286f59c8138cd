"""The corpus of objects is what it says: legal in S3, distinct, large, and documented."""

from __future__ import annotations

import re
from itertools import pairwise

from unit.docs.pages import quoted, rows, sections

from sandbox.workload import METADATA, TAGS, object_keys
from sandbox.workload.object_keys import KINDS, LONGEST_BYTES
from sandbox.workload.object_labels import METADATA_LIMIT_BYTES

PAGE = "docs/connectors/blob-names.md"
KEYS = [key for _, key in object_keys()]


def test_every_key_is_legal_in_s3_and_there_once() -> None:
    assert len(set(KEYS)) == len(KEYS)
    assert all(1 <= len(key.encode()) <= LONGEST_BYTES for key in KEYS)
    assert max(len(key.encode()) for key in KEYS) == LONGEST_BYTES


def test_there_are_at_least_150_of_them() -> None:
    assert len(KEYS) >= 150


def test_the_two_orders_of_listings_disagree_about_some() -> None:
    """About those with a character beyond the 65,536th, seen next to those late among the first 65,536."""
    utf_8 = sorted(KEYS, key=lambda key: key.encode())
    utf_16 = sorted(KEYS, key=lambda key: key.encode("utf-16-be"))
    assert utf_8 == sorted(KEYS)  # code points
    assert utf_8 != utf_16
    assert any(a > b for a, b in pairwise(key for key in utf_16 if key.startswith("order")))


def test_metadata_and_tags_are_legal_in_s3() -> None:
    for metadata in METADATA.values():
        assert all(re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]+", name) for name in metadata)
        assert all(value == value.strip() and value.isascii() for value in metadata.values())
        assert sum(len(name) + len(value) for name, value in metadata.items()) <= METADATA_LIMIT_BYTES
    for tags in TAGS.values():
        assert 1 <= len(tags) <= 10
        assert all(re.fullmatch(r"[\w +\-=.:/@]{1,128}", key) for key in tags)
        assert all(re.fullmatch(r"[\w +\-=.:/@]{0,256}", value) for value in tags.values())


def test_every_kind_has_its_row() -> None:
    documented = sections(PAGE)
    assert [row[0] for row in rows(documented["What becomes of a key"])] == list(KINDS)
    for heading, corpus in (("Metadata", METADATA), ("Tags", TAGS)):
        assert [row[0] for row in rows(documented[heading])] == list(corpus)


def test_every_example_is_of_its_kind() -> None:
    for row in rows(sections(PAGE)["What becomes of a key"]):
        examples = [example.encode().decode("unicode_escape") for example in quoted(row[1])]
        assert set(examples) <= set(KINDS[row[0]]), row[0]

"""Promise: a label is everything that makes two blobs equal, and a foreign change of any part of it is noticed."""

from dataclasses import replace
from typing import Any

import pytest
from azure.storage.blob import BlobProperties, ContentSettings

from connectors.azure.blob.label import DIGEST, VERSION, Found, Label, LabelRules, found, label_of
from fakes.objects import stored
from replicator.model import Observed
from replicator.objects import Headers, StoredObject

RULES = LabelRules(tiers={"STANDARD_IA": "Cool"})
MD5 = bytes(16)
HEADERS = Headers("text/html", "gzip", "de", "attachment", "no-cache", "Thu, 01 Dec 2033 16:00:00 GMT", "/elsewhere")
RECORD = stored(
    "k",
    b"abc",
    headers=HEADERS,
    metadata={"cost-centre": "é"},
    tags={"team": "a@b"},
    storage_class="STANDARD_IA",
    source_version="sv",
    checksums={"md5": MD5},
)


def properties(label: Label, md5: bytes | None = MD5, **changed: Any) -> BlobProperties:
    """The blob that was written with this label, changed by somebody since."""
    options = label.options(md5)
    tier = options["standard_blob_tier"]
    known = {
        "name": "k",
        "size": label.size,
        "etag": '"0x1"',
        "blob_tier": "Hot" if tier is None else tier.value,
        "metadata": options["metadata"],
        "content_settings": options["content_settings"],
    }
    made = BlobProperties()
    for name, value in {**known, **changed}.items():
        setattr(made, name, value)
    return made


def seen(record: StoredObject = RECORD, rules: LabelRules = RULES, **changed: Any) -> Found:
    label = label_of(record, rules)
    tags = changed.pop("tags", label.tags)
    return found(properties(label, **changed), tags, rules)


def test_what_was_written_is_found_equal_with_its_version() -> None:
    label = label_of(RECORD, RULES)
    assert seen().observed() == Observed("0x1", label.digest(), "v1")
    assert seen().label == label


def test_what_has_no_counterpart_is_kept_in_metadata_of_ours() -> None:
    note = {name.removeprefix("replicator_"): seen().note(name) for name in seen().label.metadata if "cost" not in name}
    assert note == {
        "version": "v1",
        "etag": RECORD.etag,
        "source_version": "sv",
        "storage_class": "STANDARD_IA",
        "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
        "website_redirect": "/elsewhere",
        "checksums": "md5=AAAAAAAAAAAAAAAAAAAAAA==",
        "tier": "Cool",
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"size": 4},
        {"blob_tier": "Archive"},
        {"tags": {}},
        {"tags": {"team": "x"}},
        {"content_settings": ContentSettings(content_type="text/html", content_md5=bytearray(MD5))},
        {"content_settings": label_of(RECORD, RULES).options(bytes(15) + b"x")["content_settings"]},
        {"metadata": {**label_of(RECORD, RULES).metadata}},
        {"metadata": {**label_of(RECORD, RULES).options(MD5)["metadata"], "more": ""}},
        {"metadata": {**label_of(RECORD, RULES).options(MD5)["metadata"], VERSION: "v2"}},
        {"metadata": {**label_of(RECORD, RULES).options(MD5)["metadata"], VERSION: "%FF"}},
        {"metadata": None},
    ],
)
def test_what_somebody_has_changed_is_neither_equal_nor_of_a_known_version(changed: dict[str, Any]) -> None:
    assert seen(**changed).observed() == Observed("0x1", None, "")


def test_a_listings_way_of_writing_things_makes_no_difference() -> None:
    """Empty values are missing there, names may come in another case, and the ETag has no quotes."""
    record = stored("k", metadata={"empty": ""})
    metadata = label_of(record, RULES).options(MD5)["metadata"]
    shown = {name.upper(): value or None for name, value in metadata.items()}
    assert seen(record, metadata=shown, etag="0x1").observed() == seen(record).observed()
    assert seen(record).observed().digest is not None


@pytest.mark.parametrize(
    "other",
    [
        {"version": "v2"},
        {"size": 4},
        {"headers": replace(HEADERS, content_language="fr")},
        {"headers": replace(HEADERS, expires=None)},
        {"metadata": {"cost-centre": "e"}},
        {"metadata": {}},
        {"tags": {"team": "a"}},
        {"storage_class": "GLACIER"},
        {"checksums": {}},
    ],
)
def test_objects_that_differ_in_anything_have_different_digests(other: dict[str, Any]) -> None:
    assert label_of(replace(RECORD, **other), RULES).digest() != label_of(RECORD, RULES).digest()


def test_the_tier_counts_only_where_it_was_chosen() -> None:
    plain = stored("k", b"abc")
    assert seen(plain, blob_tier="Cool").observed().digest == label_of(plain, RULES).digest()
    assert label_of(plain, RULES).options(None)["standard_blob_tier"] is None


def test_tags_may_go_into_metadata_or_nowhere() -> None:
    as_metadata = label_of(RECORD, LabelRules("metadata"))
    assert as_metadata.metadata["replicator_tags"] == "team=a%40b"
    assert as_metadata.tags == {}
    nowhere = label_of(RECORD, LabelRules("none"))
    assert nowhere.options(None)["tags"] is None
    assert nowhere.digest() == label_of(replace(RECORD, tags={}), LabelRules("none")).digest()
    assert seen(RECORD, LabelRules("none"), tags={"not": "ours"}).intact


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"headers": Headers(content_disposition="é")}, "content-disposition"),
        ({"headers": Headers(cache_control="a\nb")}, "cache-control"),
        ({"metadata": {"m": "x" * 8192}}, "metadata"),
        ({"tags": {"t": "é" * 256}}, "tag"),
        ({"headers": None}, "whole"),
    ],
)
def test_what_no_blob_can_have_is_refused_with_its_reason(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        label_of(replace(RECORD, **bad), RULES)


def test_a_blob_of_somebody_else_is_not_ours() -> None:
    strange = found(properties(label_of(RECORD, RULES), metadata={"a": "b"}), {}, RULES)
    assert not strange.ours
    assert not strange.intact
    assert seen().ours
    assert DIGEST not in seen().label.metadata

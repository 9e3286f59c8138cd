"""What is written to a bucket follows from the seed, and is what a blob can hold as well."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from sandbox.workload import object_keys, seed_objects
from sandbox.workload.buckets import queue_policy, tagging_event
from sandbox.workload.object_changes import ObjectChange, ObjectEntry, object_key_space, plan_object
from sandbox.workload.object_content import BLOCK_BYTES, Content
from sandbox.workload.object_shapes import UNPORTABLE_KINDS, portable_keys


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5])
@pytest.mark.parametrize("piece_bytes", [BLOCK_BYTES, 2 * BLOCK_BYTES, 8 * BLOCK_BYTES])
def test_content_is_the_same_however_it_is_cut(size: int, piece_bytes: int) -> None:
    content = Content("seed", size)
    pieces = list(content.pieces(piece_bytes))
    assert b"".join(pieces) == content.whole()
    assert len(content.whole()) == size
    assert all(len(piece) == piece_bytes for piece in pieces[:-1])
    assert content.md5() == hashlib.md5(content.whole(), usedforsecurity=False).hexdigest()


def test_other_content_has_another_seed() -> None:
    bodies = {Content(seed, size).whole() for seed in "ab" for size in (8, 9, 2 * BLOCK_BYTES)}
    assert len(bodies) == 6
    blocks = list(Content("a", 2 * BLOCK_BYTES).pieces())
    assert blocks[0] != blocks[1]


def test_the_same_seed_gives_the_same_objects() -> None:
    def shown(seed: int) -> list[object]:
        return [(new, new.content.md5() if new.content.size < 100 else "") for new in seed_objects(seed=seed)]

    assert shown(0) == shown(0) != shown(1)


def test_a_bucket_is_seeded_with_every_kind_of_object() -> None:
    objects = list(seed_objects(400))
    keys = [new.key for new in objects]
    assert len(set(keys)) == len(keys) == 400
    assert set(portable_keys()) <= set(keys)
    sizes = {new.key: new.content.size for new in objects}
    assert Counter(sizes.values())[0] >= 3
    assert max(sizes.values()) == 64_000_000
    assert sum(new.part_bytes is not None for new in objects) == 3
    assert max(key.count("/") for key in keys if key.isascii() and "//" not in key) >= 6
    assert {name for new in objects for name in new.headers} == {
        "ContentType", "ContentEncoding", "ContentLanguage", "ContentDisposition", "CacheControl",
    }  # fmt: skip
    assert sum(bool(new.metadata) for new in objects) > 30
    assert sum(bool(new.tags) for new in objects) > 30


def test_small_seeds_have_the_sizes() -> None:
    assert max(new.content.size for new in seed_objects(10, large_bytes=6_000_000)) == 6_000_000


def test_no_key_is_one_that_a_blob_cannot_have() -> None:
    """By rules of its own, told from what the kinds are called."""
    spaced = object_key_space("live", 1000)
    assert len(set(spaced)) == 1000
    for key in [*portable_keys(), *spaced]:
        assert len(key.encode()) <= 1024
        assert "\\" not in key
        assert not any(segment.endswith(".") for segment in key.split("/"))
        assert all(ord(character) >= 32 and character not in "\x7f\ufffe\uffff" for character in key)
        assert key.count("/") < 254
    assert {kind for kind, _ in object_keys()} > UNPORTABLE_KINDS
    assert len(portable_keys()) > 150


def plans(count: int, *, seed: int = 0, parts_share: float = 0.0) -> list[ObjectChange]:
    """Changes that all took effect."""
    chance, keys = random.Random(seed), object_key_space("w", 20)
    truth: dict[str, ObjectEntry] = {}
    made = []
    for _ in range(count):
        change = plan_object(chance, keys, truth, parts_share=parts_share)
        truth[change.key] = ObjectEntry(change.version, change.after)
        made.append(change)
    return made


def test_versions_grow_for_ever_on_each_key_and_are_told_by_what_is_written() -> None:
    changes = sorted(plans(600), key=lambda change: change.key)
    for _, of_key in itertools.groupby(changes, lambda change: change.key):
        for number, change in enumerate(of_key, start=1):
            assert change.version == number
            if change.after is None:
                continue
            if change.kind != "retag":
                assert change.after.metadata["version"] == str(number)
            if change.kind != "relabel" and change.after.tags:
                assert change.after.tags["version"] == str(number)


def test_a_change_touches_what_it_is_called_after() -> None:
    kinds: Counter[str] = Counter()
    for change in plans(600):
        before, after = change.before, change.after
        kinds[change.kind] += 1
        assert (after is None) == (change.kind == "delete")
        assert (change.new is not None) == (change.kind == "put")
        if before and after and change.kind == "retag":
            assert (before.md5, before.metadata, before.headers) == (after.md5, after.metadata, after.headers)
        if before and after and change.kind == "relabel":
            assert (before.md5, before.tags) == (after.md5, after.tags)
            assert before.metadata != after.metadata
    assert min(kinds[kind] for kind in ("put", "retag", "relabel", "delete")) > 50
    assert plans(50) == plans(50) != plans(50, seed=1)


def test_uploads_in_parts_are_as_rare_as_they_are_asked_for() -> None:
    changes = plans(40, parts_share=1.0)
    parts = [change for change in changes if change.kind == "parts"]
    assert parts
    assert not [change for change in changes if change.kind == "put"]
    assert all(change.new and change.new.part_bytes == 5 * 2**20 < change.new.content.size + 1 for change in parts)


def test_labels_keep_within_what_s3_takes() -> None:
    for change in plans(400):
        if change.after:
            assert len(change.after.tags) <= 10
            assert sum(len(k) + len(v.encode()) for k, v in change.after.metadata.items()) <= 2048


def test_an_event_of_tags_names_the_key_as_the_service_does() -> None:
    event = tagging_event("photos", "a b/ü+c", datetime(2026, 1, 2, 3, 4, 5, 6000, UTC), removed=True)
    (record,) = event["Records"]
    assert record["eventName"] == "ObjectTagging:Delete"
    assert record["eventTime"] == "2026-01-02T03:04:05.006Z"
    assert record["s3"]["bucket"]["name"] == "photos"
    assert record["s3"]["object"]["key"] == "a+b%2F%C3%BC%2Bc"


def test_the_policy_lets_one_bucket_send() -> None:
    (statement,) = queue_policy("photos", "arn:aws:sqs:r:1:q")["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::photos"}}
    assert statement["Resource"] == "arn:aws:sqs:r:1:q"

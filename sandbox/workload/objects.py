"""Fills a bucket before anything else happens: what is awkward first, then nested ordinary keys up to the count."""

from __future__ import annotations

import itertools
import random
from functools import partial
from typing import TYPE_CHECKING

from sandbox.workload.object_calls import PART_BYTES, SMALLEST_PART_BYTES, put
from sandbox.workload.object_content import Content
from sandbox.workload.object_shapes import (
    HEADERS,
    PORTABLE_METADATA,
    PORTABLE_TAGS,
    HeldObject,
    NewObject,
    portable_keys,
    some_metadata,
    some_tags,
)
from sandbox.workload.persistence import Persistence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.workload.calls import S3

DEFAULT_OBJECTS = 300
LARGE_BYTES = 64 * 1000 * 1000
SMALL_BYTES = 20_000
RETRY_FOR_S = 60.0
PREFIXES = ("invoices/2026/{:02d}/", "invoices/2025/{:02d}/", "photos/{:02d}/thumbnails/", "exports/{:02d}/a/b/c/d/")


async def seed_bucket(
    client: S3,
    bucket: str,
    count: int = DEFAULT_OBJECTS,
    *,
    seed: int = 0,
    large_bytes: int = LARGE_BYTES,
    progress: Callable[[int], None] | None = None,
) -> dict[str, HeldObject]:
    """Write `count` objects; what the bucket must hold of them, by key. Writing them again changes nothing.

    One object has `large_bytes`. `progress` is called with the number written so far after each. Transient errors are
    retried; raises WorkloadError when they last for more than RETRY_FOR_S.
    """
    persistence = Persistence(RETRY_FOR_S)
    held: dict[str, HeldObject] = {}
    for new in seed_objects(count, seed=seed, large_bytes=large_bytes):
        await persistence.answered(f"seeding of {new.key}", partial(put, client, bucket, new))
        held[new.key] = new.held()
        if progress:
            progress(len(held))
    return held


def seed_objects(count: int = DEFAULT_OBJECTS, *, seed: int = 0, large_bytes: int = LARGE_BYTES) -> Iterator[NewObject]:
    """The objects seed_bucket() writes, in its order: the same for the same arguments. Keys are distinct."""
    objects = itertools.chain(_sizes(seed, large_bytes), _labels(seed), _awkward_keys(seed), _ordinary(seed))
    return itertools.islice(objects, count)


def _sizes(seed: int, large_bytes: int) -> Iterator[NewObject]:
    """Nothing at all, exactly one part, a little more than one, and a large one."""
    plain = {"ContentType": "application/octet-stream"}
    for key in ("sizes/empty", "sizes/folder/", "sizes/empty.json"):
        yield NewObject(key, Content("", 0), {}, {}, plain)
    for key, size, part_bytes in (
        ("sizes/one-part", SMALLEST_PART_BYTES, SMALLEST_PART_BYTES),
        ("sizes/two-parts", SMALLEST_PART_BYTES + 1, SMALLEST_PART_BYTES),
        ("sizes/large.bin", large_bytes, PART_BYTES),
    ):
        yield NewObject(key, Content(f"{seed}:{key}", size), {"parts": "yes"}, {"kind": "multipart"}, plain, part_bytes)
    yield NewObject("sizes/one-byte", Content(f"{seed}:byte", 1), {}, {}, plain)


def _labels(seed: int) -> Iterator[NewObject]:
    """Metadata and tags that are awkward, and every set of headers."""
    for number, metadata in enumerate(PORTABLE_METADATA.values()):
        yield NewObject(f"labels/metadata-{number:02d}", Content(f"{seed}:m{number}", 10), metadata, {}, HEADERS[0])
    for number, tags in enumerate(PORTABLE_TAGS.values()):
        yield NewObject(f"labels/tags-{number:02d}", Content(f"{seed}:t{number}", 10), {}, tags, HEADERS[0])
    for number, headers in enumerate(HEADERS):
        yield NewObject(f"labels/headers-{number:02d}", Content(f"{seed}:h{number}", 10), {}, {}, headers)


def _awkward_keys(seed: int) -> Iterator[NewObject]:
    for key in portable_keys():
        yield NewObject(key, Content(f"{seed}:{key}", 20), {}, {}, HEADERS[0])


def _ordinary(seed: int) -> Iterator[NewObject]:
    chance = random.Random(seed)
    for number in itertools.count():
        key = f"{PREFIXES[number % len(PREFIXES)].format(number % 12 + 1)}{number:06d}.json"
        content = Content(f"{seed}:{key}", chance.randrange(SMALL_BYTES))
        yield NewObject(key, content, some_metadata(chance), some_tags(chance), chance.choice(HEADERS))

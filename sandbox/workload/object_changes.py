"""What a writer of objects does next, decided by its random state and its ground truth alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from sandbox.workload.changes import pick
from sandbox.workload.object_calls import SMALLEST_PART_BYTES
from sandbox.workload.object_content import Content
from sandbox.workload.object_keys import LONGEST_BYTES
from sandbox.workload.object_shapes import HEADERS, HeldObject, NewObject, portable_keys, some_metadata, some_tags

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

ObjectChangeKind = Literal["put", "parts", "retag", "relabel", "delete"]
ODD_SHARE = 4  # one key in so many is awkward
LARGEST_BYTES = 60_000
EMPTY_SHARE = 0.1
UNTAG_SHARE = 0.2
ENCODING = "ContentEncoding"
UNENCODED = [headers for headers in HEADERS if ENCODING not in headers]
"""What a copy may replace headers with: the local S3 does not take an encoding away from an object by a copy."""

VERSION = "version"
"""Name of a metadata entry and of a tag: both count up for ever on each key."""


@dataclass(slots=True)
class ObjectEntry:
    """Ground truth of one key: the highest version ever issued, what is held now, None while deleted, and size and MD5
    of all that was ever to be written.
    """

    issued: int = 0
    held: HeldObject | None = None
    contents: set[tuple[int, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One change: what is held before and after it, None for nothing. `new` is what is written, if content is."""

    kind: ObjectChangeKind
    key: str
    version: int
    before: HeldObject | None
    after: HeldObject | None
    new: NewObject | None = None


def object_key_space(space: str, count: int) -> list[str]:
    """The keys of one writer; the first ones are the hot ones. Spaces of different names are disjoint."""
    odd = [key for name in portable_keys() if len((key := f"{space}/odd/{name}").encode()) <= LONGEST_BYTES]
    keys = [f"{space}/{n % 7}/{n % 3}/object-{n:05d}" for n in range(count)]
    for n, key in zip(range(0, count, ODD_SHARE), odd, strict=False):
        keys[n] = key
    return keys


def plan_object(
    chance: random.Random, keys: list[str], truth: Mapping[str, ObjectEntry], *, parts_share: float
) -> ObjectChange:
    """The next change. `parts_share` of those that write content are uploads in parts, of 5 MB at least."""
    key = pick(chance, keys)
    entry = truth.get(key, ObjectEntry())
    version, before = entry.issued + 1, entry.held
    kind: ObjectChangeKind = "put"
    if before is not None:
        kind = chance.choices(("put", "retag", "relabel", "delete"), (35, 25, 20, 20))[0]
    if kind == "put" and chance.random() < parts_share:
        kind = "parts"
    if kind == "delete":
        return ObjectChange(kind, key, version, before, None)
    metadata = {**some_metadata(chance), VERSION: str(version)}
    tags = {**some_tags(chance), VERSION: str(version)}  # written with content: the local S3 would keep earlier ones
    if kind == "retag" and chance.random() < UNTAG_SHARE:
        tags = {}
    headers = chance.choice(HEADERS if kind != "relabel" else UNENCODED)
    if before is not None and kind == "retag":
        return ObjectChange(kind, key, version, before, replace(before, tags=tags))
    if before is not None and kind == "relabel":
        headers = {**headers, **{name: before.headers[name] for name in (ENCODING,) if name in before.headers}}
        return ObjectChange(kind, key, version, before, replace(before, metadata=metadata, headers=headers))
    part_bytes = SMALLEST_PART_BYTES if kind == "parts" else None
    size = chance.randrange(LARGEST_BYTES) if chance.random() > EMPTY_SHARE else 0
    content = Content(f"{key}:{version}", size + (part_bytes or 0))
    new = NewObject(key, content, metadata, tags, headers, part_bytes)
    return ObjectChange(kind, key, version, before, new.held(), new)

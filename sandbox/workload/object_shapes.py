"""What objects are like: names, metadata, tags and headers that Blob Storage can hold as well, awkward ones included.

docs/connectors/blob-names.md says what it cannot; the corpora here leave that out, so that a bucket made of them can be
equal to its copy. What it cannot hold is in object_keys.py and object_labels.py all the same, for tests of refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from sandbox.workload.object_keys import object_keys
from sandbox.workload.object_labels import METADATA, TAGS

if TYPE_CHECKING:
    import random

    from sandbox.workload.object_content import Content

Texts: TypeAlias = Mapping[str, str]

UNPORTABLE_KINDS = frozenset(
    {
        "dot segment", "dot at the end", "backslash", "control", "white control", "late control", "not in XML",
        "no character", "private use", "special", "many segments",
    }
)  # fmt: skip
"""Kinds of keys that Blob Storage refuses, changes, or does not document as possible."""

UNPORTABLE_METADATA = frozenset({"many"})
"""Labels of metadata that make an answer of more headers, with those of the service, than a client reads."""

UNPORTABLE_TAGS = frozenset({"empty value"})
"""Labels of tags that Azurite refuses, although the service takes them."""

FULL_METADATA = frozenset({"long value", "long value, all to be escaped", "long name"})
FULL_TAGS = frozenset({"ten"})
"""Labels that leave no room, of bytes or number, for one more."""

HEADERS: tuple[Texts, ...] = (
    {"ContentType": "application/json"},
    {"ContentType": "text/html; charset=utf-8", "ContentLanguage": "de, en", "CacheControl": "max-age=60"},
    {"ContentType": "text/plain", "ContentEncoding": "gzip"},  # which it is not: nobody may undo it
    {"ContentType": "application/pdf", "ContentDisposition": 'attachment; filename="a b.pdf"'},
    {"ContentType": "image/png", "CacheControl": "public, immutable"},
)
"""As parameters of S3's calls. A type is always given: the services differ in what they take for its default."""

OWNERS = ("billing", "shop", "warehouse", "legal")


@dataclass(frozen=True, slots=True)
class HeldObject:
    """What a bucket holds under a key. `md5` is that of the whole content, in hexadecimal; `headers` have the names
    of S3's parameters. Equal where an application could not tell them apart; the ETag is not of that.
    """

    size: int
    md5: str
    metadata: Texts
    tags: Texts
    headers: Texts
    etag: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object to be written. `part_bytes` is the size of the parts it is uploaded in, None for a single request."""

    key: str
    content: Content
    metadata: Texts
    tags: Texts
    headers: Texts
    part_bytes: int | None = None

    def held(self) -> HeldObject:
        """What the bucket holds once it is written. Generates the content for its MD5."""
        return HeldObject(self.content.size, self.content.md5(), self.metadata, self.tags, self.headers)


def portable_keys() -> list[str]:
    """Every awkward key that a blob can have."""
    return [key for kind, key in object_keys() if kind not in UNPORTABLE_KINDS]


PORTABLE_METADATA = {label: metadata for label, metadata in METADATA.items() if label not in UNPORTABLE_METADATA}
PORTABLE_TAGS = {label: tags for label, tags in TAGS.items() if label not in UNPORTABLE_TAGS}
_METADATA = [metadata for label, metadata in PORTABLE_METADATA.items() if label not in FULL_METADATA]
_TAGS = [tags for label, tags in PORTABLE_TAGS.items() if label not in FULL_TAGS]


def some_metadata(chance: random.Random) -> Texts:
    """None, ordinary or awkward, with room for one more entry."""
    match chance.randrange(4):
        case 0:
            return {}
        case 1:
            return chance.choice(_METADATA)
        case _:
            return {"owner": chance.choice(OWNERS), "order-id": str(chance.randrange(10**6))}


def some_tags(chance: random.Random) -> Texts:
    """None, ordinary or awkward, with room for one more tag."""
    match chance.randrange(4):
        case 0:
            return {}
        case 1:
            return chance.choice(_TAGS)
        case _:
            return {"team": chance.choice(OWNERS), "retain": f"{chance.randint(1, 10)} years"}

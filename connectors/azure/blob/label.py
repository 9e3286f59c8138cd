"""Everything that is written to a blob beside its bytes, and what is found there again. Pure functions.

The sidecar is metadata of our own beside the user's: what the object was made from, what has no counterpart in Blob
Storage, and a digest of the whole label with size and MD5, so that a change by somebody else is noticed.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from azure.storage.blob import BlobProperties, ContentSettings, StandardBlobTier

from connectors.azure.blob.metadata import RESERVED, check_metadata, decode_value, encode_metadata, encode_tags
from connectors.azure.blob.metadata import encode_value as encoded
from replicator.model import Observed
from replicator.objects import Headers, StoredObject

TagsMode: TypeAlias = Literal["index", "metadata", "none"]

DEFAULT_CONTENT_TYPE = "application/octet-stream"
"""What the service makes of a blob that is given none."""

VERSION = f"{RESERVED}version"
ETAG = f"{RESERVED}etag"
SOURCE_VERSION = f"{RESERVED}source_version"
STORAGE_CLASS = f"{RESERVED}storage_class"
EXPIRES = f"{RESERVED}expires"
WEBSITE_REDIRECT = f"{RESERVED}website_redirect"
CHECKSUMS = f"{RESERVED}checksums"
TAGS = f"{RESERVED}tags"
TIER = f"{RESERVED}tier"
DIGEST = f"{RESERVED}digest"


@dataclass(frozen=True, slots=True)
class LabelRules:
    """How labels are made. `tiers` names the access tier of a storage class; other classes get the account's."""

    tags: TagsMode = "index"
    tiers: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlobHeaders:
    """The headers that a blob keeps, empty where it has none."""

    content_type: str = DEFAULT_CONTENT_TYPE
    content_encoding: str = ""
    content_language: str = ""
    content_disposition: str = ""
    cache_control: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """As it stands on the blob: `metadata` encoded and with the sidecar, apart from the digest; `tags` index tags.

    `tier` is None where the account decides. `size` is that of the content, in bytes.
    """

    headers: BlobHeaders
    metadata: Mapping[str, str]
    tags: Mapping[str, str]
    tier: str | None
    size: int

    def digest(self, md5: bytes | None = None) -> str:
        """Equal for labels that are equal, with the content's MD5 where it is given."""
        parts = [
            [getattr(self.headers, each.name) for each in fields(self.headers)],
            sorted(self.metadata.items()),
            sorted(self.tags.items()),
            [self.tier, self.size, None if md5 is None else md5.hex()],
        ]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()

    def options(self, md5: bytes | None) -> dict[str, Any]:
        """What the SDK is to send with the content, or with its list of blocks."""
        headers = {each.name: getattr(self.headers, each.name) or None for each in fields(self.headers)}
        return {
            "content_settings": ContentSettings(**headers, content_md5=None if md5 is None else bytearray(md5)),
            "metadata": {**self.metadata, DIGEST: self.digest(md5)},
            "tags": dict(self.tags) or None,
            "standard_blob_tier": None if self.tier is None else StandardBlobTier(self.tier),
        }


def label_of(record: StoredObject, rules: LabelRules) -> Label:
    """The label of an object. Raises ValueError, saying why, for one that no blob can have."""
    if record.headers is None or record.metadata is None or record.size is None:
        raise ValueError("the object was not read whole")
    tier = rules.tiers.get(record.storage_class)
    tags, checksums = record.tags or {}, record.checksums or {}
    note = {
        VERSION: record.version,
        ETAG: record.etag,
        SOURCE_VERSION: record.source_version,
        STORAGE_CLASS: record.storage_class,
        EXPIRES: record.headers.expires or "",
        WEBSITE_REDIRECT: record.headers.website_redirect or "",
        CHECKSUMS: ",".join(f"{name}={b64encode(found).decode()}" for name, found in sorted(checksums.items())),
        TIER: tier or "",
    }
    metadata = {**encode_metadata(record.metadata), **{name: encoded(value) for name, value in note.items() if value}}
    if rules.tags == "metadata" and tags:
        metadata[TAGS] = _as_query(tags)
    check_metadata({**metadata, DIGEST: "0" * 32})
    index_tags = encode_tags(tags) if rules.tags == "index" else {}
    return Label(_headers(record.headers), metadata, index_tags, tier, record.size)


@dataclass(frozen=True, slots=True)
class Found:
    """A blob as it was found. `etag` is without quotes; `md5` is None where it has none."""

    name: str
    etag: str
    label: Label
    noted: str
    md5: bytes | None

    @property
    def intact(self) -> bool:
        """Whether it still is what we have written."""
        return self.noted == self.label.digest(self.md5)

    @property
    def ours(self) -> bool:
        """Whether we have written it, whatever became of it since."""
        return bool(self.noted)

    def note(self, name: str) -> str:
        """An entry of the sidecar, empty where there is none. Raises ValueError for one that somebody has damaged."""
        return decode_value(self.label.metadata.get(name, ""))

    def observed(self) -> Observed:
        """What the engine is told of it."""
        if not self.intact:
            return Observed(guard=self.etag, digest=None)
        return Observed(self.etag, self.label.digest(), self.note(VERSION))


def found(properties: BlobProperties, tags: Mapping[str, str] | None, rules: LabelRules) -> Found:
    """A blob's properties, read by themselves or from a listing, and its tags."""
    metadata = {name.lower(): value or "" for name, value in (properties.metadata or {}).items()}
    noted = metadata.pop(DIGEST, "")
    content = properties.content_settings
    headers = BlobHeaders(**{each.name: getattr(content, each.name) or "" for each in fields(BlobHeaders)})
    label = Label(
        headers=replace(headers, content_type=headers.content_type or DEFAULT_CONTENT_TYPE),
        metadata=metadata,
        tags=dict(tags or {}) if rules.tags == "index" else {},
        tier=str(properties.blob_tier) if TIER in metadata else None,
        size=-1 if properties.size is None else int(properties.size),  # whoever leaves the length out leaves doubt
    )
    md5 = content.content_md5
    return Found(str(properties.name), unquoted(str(properties.etag)), label, noted, bytes(md5) if md5 else None)


def unquoted(etag: str) -> str:
    """Listings leave the quotes out that the answers about single blobs have."""
    return etag.removeprefix('"').removesuffix('"')


def _headers(headers: Headers) -> BlobHeaders:
    values = {each.name: (getattr(headers, each.name) or "").strip() for each in fields(BlobHeaders)}
    for name, value in values.items():
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"the header {name.replace('_', '-')} has characters that Blob Storage does not take")
    return BlobHeaders(**{**values, "content_type": values["content_type"] or DEFAULT_CONTENT_TYPE})


def _as_query(tags: Mapping[str, str]) -> str:
    """ASCII already, and read back by whatever reads the query of a URL."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(tags.items()))

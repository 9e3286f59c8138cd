"""What S3 tells of an object, as the engine's record. Pure.

**The version** is made of ETag, size, time of the last change in whole seconds, and storage class: all that a listing,
HEAD and GET have in common. The ETag changes with the content, the time with each write, also one that only replaces
headers or metadata; the storage class moves by lifecycle without either. HEAD tells the time in whole seconds, a
listing may tell fractions. So two writes of the same bytes within one second, with other headers or metadata, have the
same version: they are told apart by looking the object up, as every notification makes us do, not by a listing. Tags
and the state of an archived object are no part of it: no listing shows them.

**Metadata** is kept as S3 sends it. S3 stores what is not ASCII decoded and sends it as encoded words (RFC 2047); SDKs
hand these on as they are, so applications have always seen, and may themselves have written, `=?UTF-8?B?…?=`. To keep
that text is exact and needs no rule; to decode it would make two different texts one.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.aws.s3.ranges import LONGEST_KEY_BYTES
from replicator.model import Change, Operation
from replicator.objects import Content, Headers, StoredObject

STANDARD = "STANDARD"
"""The storage class that HEAD leaves out."""

ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects must be restored before they can be read. GLACIER_IR is none of them."""

CHECKSUMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")

MD5_ETAG = re.compile(r"[0-9a-f]{32}")

KEEPS_MD5 = frozenset({"", "AES256"})
"""With these kinds of encryption at rest the ETag of a single part is the MD5 of the content."""

HEADERS = {
    "content_type": "ContentType",
    "content_encoding": "ContentEncoding",
    "content_language": "ContentLanguage",
    "content_disposition": "ContentDisposition",
    "cache_control": "CacheControl",
    "expires": "ExpiresString",
    "website_redirect": "WebsiteRedirectLocation",
}


def is_object_key(text: str) -> bool:
    """Whether an object may have this key."""
    try:
        return 1 <= len(text.encode()) <= LONGEST_KEY_BYTES
    except UnicodeEncodeError:  # half a character
        return False


def version_of(etag: str, size: int, modified_at: datetime, storage_class: str) -> str:
    """See above; `etag` without quotes."""
    return f"{etag}:{size}:{int(modified_at.timestamp())}:{storage_class}"


def listed_object(entry: Mapping[str, Any]) -> StoredObject:
    """An entry of ListObjectsV2."""
    return _shown(entry["Key"], entry, int(entry["Size"]))


def looked_up(key: str, head: Mapping[str, Any], tags: Mapping[str, str], content: Content | None) -> StoredObject:
    """A whole object, from an answer of HEAD or GET and its tags."""
    shown = _shown(key, head, int(head["ContentLength"]))
    headers = Headers(**{name: head.get(member) or None for name, member in HEADERS.items()})
    metadata = dict(head.get("Metadata", {}))
    return StoredObject(
        key=key,
        version=shown.version,
        size=shown.size,
        modified_at=shown.modified_at,
        etag=shown.etag,
        storage_class=shown.storage_class,
        source_version=_source_version(head),
        headers=headers,
        metadata=metadata,
        tags=tags,
        checksums=_checksums(head, shown.etag),
        obstacle=_archived(head, shown.storage_class) or _unreadable(head, metadata, headers),
        content=content,
    )


def hindered(entry: Mapping[str, Any], obstacle: str) -> StoredObject:
    """A listed object of which no more may be known."""
    shown = listed_object(entry)
    return StoredObject(
        key=shown.key,
        version=shown.version,
        size=shown.size,
        modified_at=shown.modified_at,
        etag=shown.etag,
        storage_class=shown.storage_class,
        headers=Headers(),
        metadata={},
        tags={},
        checksums={},
        obstacle=obstacle,
    )


def listed_change(entry: Mapping[str, Any]) -> Change[StoredObject]:
    """Says that a listed object may differ at the target."""
    record = listed_object(entry)
    return Change(record.key, Operation.LOOK, record, version=record.version)


def present(record: StoredObject) -> Change[StoredObject]:
    """What a lookup answers for an object."""
    return Change(record.key, Operation.UPSERT, record, version=record.version)


def absent(key: str) -> Change[StoredObject]:
    """What a lookup answers where there is none."""
    return Change(key, Operation.DELETE, StoredObject(key))


def _shown(key: str, answer: Mapping[str, Any], size: int) -> StoredObject:
    etag = unquoted(answer["ETag"])
    modified_at = in_seconds(answer["LastModified"])
    storage_class = answer.get("StorageClass") or STANDARD
    return StoredObject(
        key=key,
        version=version_of(etag, size, modified_at, storage_class),
        size=size,
        modified_at=modified_at,
        etag=etag,
        storage_class=storage_class,
    )


def in_seconds(moment: datetime) -> datetime:
    """As it is compared: HEAD and GET tell no fractions, a listing may."""
    return moment.astimezone(UTC).replace(microsecond=0)


def unquoted(etag: str) -> str:
    """As it is compared; on the wire it stands in quotes."""
    return etag.strip('"')


def _source_version(head: Mapping[str, Any]) -> str:
    """`null` is what S3 calls an object written while versioning was off."""
    name = str(head.get("VersionId") or "")
    return "" if name == "null" else name


def _checksums(head: Mapping[str, Any], etag: str) -> dict[str, bytes]:
    """Those of the whole content; a composite one is of the checksums of its parts."""
    found: dict[str, bytes] = {}
    for name in CHECKSUMS:
        text = str(head.get(f"Checksum{name.upper()}") or "")
        if text and "-" not in text and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            found[name] = _decoded(text)
    encryption, of_customer = head.get("ServerSideEncryption") or "", head.get("SSECustomerAlgorithm")
    if MD5_ETAG.fullmatch(etag) and encryption in KEEPS_MD5 and not of_customer:
        found["md5"] = bytes.fromhex(etag)
    return {name: value for name, value in found.items() if value}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _archived(head: Mapping[str, Any], storage_class: str) -> str:
    """Why it must be restored first, empty where it need not be."""
    restore = str(head.get("Restore") or "")
    place = storage_class if storage_class in ARCHIVES else str(head.get("ArchiveStatus") or "")
    if not place or 'ongoing-request="false"' in restore:
        return ""
    if 'ongoing-request="true"' in restore:
        return f"is archived ({place}) and being restored"
    return f"is archived ({place}): restore it, then retry"


def _unreadable(head: Mapping[str, Any], metadata: Mapping[str, str], headers: Headers) -> str:
    """Why its headers cannot be told, empty where they can."""
    if int(head.get("MissingMeta") or 0):
        return f"has {head['MissingMeta']} entries of metadata that S3 cannot send"
    texts = [*metadata, *metadata.values(), *(getattr(headers, name) or "" for name in HEADERS)]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return "has a header or metadata that is not UTF-8"
    return ""

"""Objects as the engine carries them: what a bucket shows of one, and a way to its bytes that no cloud owns.

The text of a record's key is the object's key as it is. A listing shows a part of an object only (`listed`); a record
that was looked up is whole. Bytes are never part of a record: the target reads them in ranges while it writes.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Protocol


class ContentChangedError(Exception):
    """The object is no longer the version that was to be read: look at the source again."""


class ContentRefusedError(Exception):
    """The bytes may not or cannot be read, for a reason that only an operator can mend; the text says which."""


class Content(Protocol):
    """The bytes of one version of an object."""

    def read(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start`, exactly `length` of them, in pieces of at most some hundred KB.

        Raises TransientError, which includes a connection that ended early; ContentChangedError; ContentRefusedError.
        Not repeated here: whoever reads knows how far it came. Close it when it is left early.
        """

    async def url(self, lifetime_s: float) -> str | None:
        """A URL that lets whoever has it read this version for so long; None where there is none. A secret.

        Where it can name no version, it shows the newest: who has used it must `read` a byte afterwards, which raises
        ContentChangedError unless it was this version all the while. Raises TransientError.
        """


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers that a reader of the object is given; None where the object has none of that name."""

    content_type: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    content_disposition: str | None = None
    cache_control: str | None = None
    expires: str | None = None
    website_redirect: str | None = None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object. `version` names its content, headers and metadata: it is equal exactly while none of them changes,
    and is known from a listing as well.

    `headers`, `metadata`, `tags` and `checksums` are None in what a listing shows. `checksums` are of the whole
    content, by algorithm in lower case (`md5`, `crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`), as raw bytes; empty
    where the source has none. `source_version` is the source's own name of this version where it keeps several.
    `obstacle` is why the content cannot be read, empty where nothing stands against it. A deleted object is its key
    alone.
    """

    key: str
    version: str = ""
    size: int | None = None
    modified_at: datetime | None = None
    etag: str = ""
    source_version: str = ""
    storage_class: str = ""
    headers: Headers | None = None
    metadata: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    checksums: Mapping[str, bytes] | None = None
    obstacle: str = ""
    content: Content | None = field(default=None, compare=False)

    @property
    def listed(self) -> bool:
        """Whether this is only what a listing shows."""
        return self.headers is None


def reference(stored: StoredObject) -> dict[str, str]:
    """What finds this version of the object at its source, beside its key."""
    return {"version_id": stored.source_version} if stored.source_version else {}


def body_text(stored: StoredObject) -> str:
    """An object's headers, metadata and tags as JSON. Its bytes stay where they are."""
    return json.dumps(
        {
            "size": stored.size,
            "headers": asdict(stored.headers) if stored.headers else None,
            "metadata": None if stored.metadata is None else dict(stored.metadata),
            "tags": None if stored.tags is None else dict(stored.tags),
        },
        ensure_ascii=False,
    )

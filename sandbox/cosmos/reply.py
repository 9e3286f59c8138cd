"""Answers to clients, before they become HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.cosmos import wire
from sandbox.cosmos.budget import METADATA_RU

if TYPE_CHECKING:
    from sandbox.cosmos.errors import CosmosError
    from sandbox.cosmos.wire import JsonObject


@dataclass(slots=True)
class Reply:
    """Status, JSON body and the headers that are the operation's own."""

    status: int
    body: bytes = b""
    charge_ru: float = METADATA_RU
    headers: dict[str, str] = field(default_factory=dict)


def document_reply(status: int, document: JsonObject) -> Reply:
    """Answer with the document of a database or container."""
    return Reply(status, wire.encode(document), headers={"etag": str(document.get("_etag", ""))})


def feed_body(rid: str, member: str, documents: list[bytes]) -> bytes:
    """The envelope of a list of documents."""
    return b'{"_rid":"%b","%b":[%b],"_count":%d}' % (
        rid.encode(),
        member.encode(),
        b",".join(documents),
        len(documents),
    )


def feed_reply(rid: str, member: str, documents: list[JsonObject]) -> Reply:
    """Answer with a whole list of documents."""
    body = feed_body(rid, member, [wire.encode(document) for document in documents])
    return Reply(200, body, headers={"x-ms-item-count": str(len(documents))})


def error_reply(error: CosmosError) -> Reply:
    """Answer with a refusal."""
    headers: dict[str, str] = {}
    if error.substatus is not None:
        headers["x-ms-substatus"] = str(error.substatus)
    if error.retry_after_ms is not None:
        headers["x-ms-retry-after-ms"] = str(error.retry_after_ms)
    return Reply(error.status, error.body(), headers=headers)

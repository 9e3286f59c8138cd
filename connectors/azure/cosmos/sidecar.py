"""The sidecar: what replicator notes in each document it writes, in one reserved member.

It holds the digest of the record, by which a foreign change is noticed, where the record came from, and the kinds of
values that JSON cannot tell. A tombstone is a document whose sidecar says that its record was deleted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connectors.azure.cosmos.values import Json

SIDECAR: Final = "_replicator"
"""The member of a document that holds the sidecar."""

FORMAT: Final = 1
"""The version of the sidecar's format that this code writes and reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What is known of a document beside its attributes.

    `digest` is that of the neutral document, `version` the source's own, `committed_at` the source's commit time if
    known. `held` marks what is to be finished once copying is done: an expiry not yet
    set, or a tombstone. `restores_id` says that the attribute `id` is the document's id.
    """

    digest: str
    version: str
    committed_at: datetime | None = None
    expires_at: datetime | None = None
    kinds: Mapping[str, Json] | None = None
    restores_id: bool = False
    deleted: bool = False
    held: bool = False

    def write(self) -> dict[str, Json]:
        """The member as JSON; what is absent or false is left out."""
        member: dict[str, Json] = {
            "v": FORMAT,
            "digest": self.digest,
            "version": self.version,
        }
        if self.committed_at is not None:
            member["at"] = self.committed_at.astimezone(UTC).isoformat()
        if self.expires_at is not None:
            member["expires"] = math.ceil(self.expires_at.timestamp())
        if self.kinds:
            member["types"] = dict(self.kinds)
        for name, flag in (("id", self.restores_id), ("deleted", self.deleted), ("held", self.held)):
            if flag:
                member[name] = True
        return member


def sidecar(body: Mapping[str, object]) -> Sidecar:
    """The sidecar of a document. Raises ValueError, naming the member, if it is absent or malformed."""
    member = body.get(SIDECAR)
    if not isinstance(member, dict):
        problem = f"{SIDECAR}: absent or no object"
        raise ValueError(problem)  # noqa: TRY004 — whatever is wrong with a body, callers catch one class
    if _whole(member, "v") != FORMAT:
        raise ValueError(f"{SIDECAR}.v: not {FORMAT}, so written by another release")
    kinds = member.get("types")
    if kinds is not None and not isinstance(kinds, dict):
        raise ValueError(f"{SIDECAR}.types: no object")
    return Sidecar(
        digest=_text(member, "digest"),
        version=_text(member, "version"),
        committed_at=_committed_at(member),
        expires_at=_expires_at(member),
        kinds=kinds,
        restores_id=_flag(member, "id"),
        deleted=_flag(member, "deleted"),
        held=_flag(member, "held"),
    )


def is_ours(body: Mapping[str, object]) -> bool:
    """Whether a document carries a sidecar, readable or not."""
    return SIDECAR in body


def is_tombstone(body: Mapping[str, object]) -> bool:
    """Whether a document stands for a deleted record. Never raises."""
    member = body.get(SIDECAR)
    return isinstance(member, dict) and member.get("deleted") is True


def expired(body: Mapping[str, object], now: datetime) -> bool:
    """Whether a record has passed its expiry and so counts as deleted. Raises ValueError as `sidecar` does."""
    expires_at = sidecar(body).expires_at
    return expires_at is not None and expires_at <= now


def _text(member: Mapping[str, object], name: str) -> str:
    value = member.get(name)
    if isinstance(value, str):
        return value
    raise ValueError(f"{SIDECAR}.{name}: absent or no text")


def _whole(member: Mapping[str, object], name: str) -> int:
    """An integer, which the service may give as 1 or 1.0."""
    value = member.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    raise ValueError(f"{SIDECAR}.{name}: absent or no integer")


def _flag(member: Mapping[str, object], name: str) -> bool:
    value = member.get(name, False)
    if isinstance(value, bool):
        return value
    raise ValueError(f"{SIDECAR}.{name}: neither true nor false")


def _committed_at(member: Mapping[str, object]) -> datetime | None:
    if "at" not in member:
        return None
    try:
        instant = datetime.fromisoformat(_text(member, "at"))
    except ValueError:
        raise ValueError(f"{SIDECAR}.at: no ISO instant") from None
    if instant.tzinfo is None:
        raise ValueError(f"{SIDECAR}.at: no offset from UTC")
    return instant


def _expires_at(member: Mapping[str, object]) -> datetime | None:
    if "expires" not in member:
        return None
    try:
        return datetime.fromtimestamp(_whole(member, "expires"), UTC)
    except (OverflowError, OSError):
        raise ValueError(f"{SIDECAR}.expires: beyond every date") from None

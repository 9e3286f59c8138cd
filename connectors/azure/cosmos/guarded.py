"""Reading documents with their ETags, and writing on the condition that they have not changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from azure.core import MatchConditions

from connectors.azure.cosmos.calls import Calls, Hook
from connectors.azure.cosmos.mapping import MappingRules, as_of, from_cosmos, tombstone
from connectors.azure.cosmos.sdk import Container
from connectors.azure.cosmos.sidecar import is_tombstone, sidecar
from connectors.azure.cosmos.writing import Action, Write, as_write
from connectors.azure.errors import AzureRefusal
from connectors.azure.parallel import in_parallel
from replicator.documents import Document, digest, parse_key
from replicator.errors import AmbiguousError
from replicator.model import ABSENT, Change, GuardedResult, Observed, Rejection, Rule

CONFLICTS = frozenset({404, 409, 412})
"""Answers to a conditional write that mean: the document is no longer as it was observed."""


class Guarded:
    """Guarded reads and writes of one container, in parallel across documents."""

    def __init__(self, container: Container, calls: Calls, rules: MappingRules) -> None:
        self._container = container
        self._calls = calls
        self._rules = rules

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        """What is there under each key."""
        observed: dict[str, Observed] = {}

        async def look(key: str) -> None:
            observed[key] = await self._observe(key)

        await in_parallel(look, keys)
        return observed

    async def replace(
        self, changes: Mapping[str, Change[Document]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        """See `replicator.ports.Target.replace`."""
        rejections: list[Rejection] = []
        conflicts: list[str] = []

        async def put(key: str) -> None:
            try:
                await self._replace(changes[key], observed[key], rule)
            except ValueError as error:
                rejections.append(Rejection(key, str(error)))
            except AmbiguousError:
                conflicts.append(key)
            except AzureRefusal as refusal:
                if await self._is_conflict(key, observed[key], refusal):
                    conflicts.append(key)
                else:
                    rejections.append(Rejection(key, f"Cosmos DB refuses the document: {refusal}"))

        await in_parallel(put, list(changes))
        return GuardedResult(tuple(rejections), tuple(conflicts))

    async def _observe(self, key: str) -> Observed:
        try:
            address = tombstone(parse_key(key), self._rules, version="", committed_at=None)
        except ValueError:  # a key that can never be held is not there
            return ABSENT

        async def read(hook: Hook) -> dict[str, Any]:
            return await self._container.read_item(address.id, address.partition_key, response_hook=hook)

        try:
            body = await self._calls.read(read)
        except AzureRefusal as refusal:
            if refusal.status == 404:
                return ABSENT
            raise
        return Observed(guard=body["_etag"], digest=fingerprint(body))

    async def _replace(self, change: Change[Document], observed: Observed, rule: Rule) -> None:
        write = as_write(change, rule, self._rules, self._calls.now())
        if write is None:
            return
        wanted = fingerprint(write.document.body) if write.action is Action.UPSERT else None
        if wanted is not None and observed.digest == wanted:
            return
        if write.action is Action.DELETE and observed.guard is None:
            return
        await self._calls.write_once([change.key], lambda hook: self._put(write, observed.guard, hook))

    async def _is_conflict(self, key: str, observed: Observed, refusal: AzureRefusal) -> bool:
        """Whether the document is not as it was observed. 409 may also be about another one's unique key."""
        if refusal.status == 409 and self._rules.unique_paths:
            return observed.guard is None and (await self._observe(key)).guard is not None
        return refusal.status in CONFLICTS

    async def _put(self, write: Write, guard: str | None, hook: Hook) -> None:
        document = write.document
        body = as_of(document.body, self._calls.now())
        if guard is None:
            await self._container.create_item(body, response_hook=hook)
            return
        condition: dict[str, Any] = {
            "etag": guard,
            "match_condition": MatchConditions.IfNotModified,
            "response_hook": hook,
        }
        if write.action is Action.DELETE:
            await self._container.delete_item(document.id, document.partition_key, **condition)
        else:
            await self._container.replace_item(document.id, body, **condition)


def fingerprint(body: Mapping[str, object]) -> str | None:
    """What makes a document equal to the one that would be written: its record and its expiry.

    None for what was not written by us, was changed since beyond reading, is a tombstone, or is still held.
    """
    try:
        note = sidecar(body)
        if note.held or is_tombstone(body):
            return None
        return _joined(digest(from_cosmos(body)), note.expires_at)
    except ValueError:
        return None


def _joined(of_record: str, expires_at: datetime | None) -> str:
    return f"{of_record} {expires_at.isoformat() if expires_at else ''}"

"""Reading a container from end to end: everything it holds, and what a finished copy leaves to be done."""

import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

from azure.core import MatchConditions

from connectors.azure.cosmos.calls import Calls, Hook
from connectors.azure.cosmos.guarded import CONFLICTS
from connectors.azure.cosmos.mapping import MappingRules, from_cosmos, matches_digest, tombstone, ttl_s
from connectors.azure.cosmos.sdk import Container
from connectors.azure.cosmos.sidecar import SIDECAR, Sidecar, is_ours, is_tombstone, sidecar
from connectors.azure.errors import AzureRefusal
from connectors.azure.parallel import in_parallel
from replicator.documents import Document, key_text
from replicator.errors import AmbiguousError
from replicator.model import Listed

PAGE = 200
"""Documents asked for at once."""

HELD = "SELECT * FROM c WHERE c._replicator.held = true"


class Outcome(Enum):
    """What became of a conditional write."""

    DONE = "done"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


class Scanner:
    """Reads one container page by page."""

    def __init__(self, container: Container, calls: Calls, rules: MappingRules) -> None:
        self._container = container
        self._calls = calls
        self._rules = rules

    async def is_empty(self) -> bool:
        """Whether not a single document is there."""
        async for page in self._pages("SELECT c.id FROM c", None, None, most=1):
            if page[0]:
                return False
        return True

    async def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
        """Every document, one range of partition keys after the other.

        A position names the ranges that are left: it outlives the process, and partitions split and merge.
        """
        ranges, token = json.loads(position) if position else (await self._ranges(), None)
        for index, feed_range in enumerate(ranges):
            token = await self._known(feed_range, token)
            async for page, token_after in self._pages("SELECT * FROM c", feed_range, token):
                after = [ranges[index:], token_after] if token_after else [ranges[index + 1 :], None]
                yield self._listed(page, json.dumps(after))
            token = None

    async def _ranges(self) -> list[dict[str, Any]]:
        return await self._calls.read(lambda _: feed_ranges(self._container))

    async def _known(self, feed_range: Any, token: str | None) -> str | None:
        """A place to go on from, or the range's beginning where the service does not know that place any more."""
        if token is None:
            return None
        try:
            await self._calls.read(lambda hook: self._page("SELECT * FROM c", feed_range, token, 1, hook))
        except AzureRefusal:
            return None
        return token

    async def sweep(self, removed: Callable[[int], None]) -> None:
        """Purges tombstones and sets expiries until none is left; what changes meanwhile is left to its writer."""
        stuck: set[str] = set()
        while True:
            moved, conflicts = await self._sweep_once(removed)
            if not moved and conflicts <= stuck:
                return
            stuck = conflicts

    async def _sweep_once(self, removed: Callable[[int], None]) -> tuple[bool, set[str]]:
        """Whether anything was done, or may have been; and what has conflicted, each as the state it was in."""
        moved, conflicts = False, set[str]()
        async for page, _ in self._pages(HELD, None, None):
            outcomes = await self._released([(body, note) for body in page if (note := _held_note(body))])
            moved = moved or bool(outcomes[Outcome.DONE] or outcomes[Outcome.UNKNOWN])
            conflicts.update(outcomes[Outcome.CONFLICT])
            if outcomes[Outcome.DONE]:
                removed(len(outcomes[Outcome.DONE]))
        return moved, conflicts

    async def _released(self, held: Sequence[tuple[Mapping[str, Any], Sidecar]]) -> dict[Outcome, list[str]]:
        outcomes: dict[Outcome, list[str]] = defaultdict(list)

        async def release(index: str) -> None:
            body, note = held[int(index)]
            outcomes[await self._release(body, note)].append(f"{body['id']} {body['_etag']}")

        await in_parallel(release, [str(index) for index in range(len(held))])
        return outcomes

    async def remove(self, handle: str) -> None:
        """Removes a document if it is still what `scan` listed."""
        id_, partition_key, etag = json.loads(handle)

        async def send(hook: Hook) -> None:
            condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
            await self._container.delete_item(id_, partition_key, response_hook=hook, **condition)

        while await self._conditionally(handle, send) is Outcome.UNKNOWN:
            pass

    def _listed(self, page: list[dict[str, Any]], position: str) -> Listed:
        keys: list[str] = []
        foreign: list[str] = []
        leftovers: list[str] = []
        for body in page:
            key = self._key(body)
            handle = json.dumps([body["id"], self._rules.partition_key_of(body), body["_etag"]])
            if key is None:
                foreign.append(handle)
            elif self._is_in_place(body, key):
                keys.append(key_text(key))
            else:
                (leftovers if is_tombstone(body) or matches_digest(body) else foreign).append(handle)
        return Listed(tuple(keys), tuple(foreign), position, tuple(leftovers))

    def _key(self, body: Mapping[str, Any]) -> Document | None:
        """The key of a document of ours, None where somebody has made it unreadable."""
        if not is_ours(body):
            return None
        try:
            document = from_cosmos(body)
            key = {name: document[name] for name in self._rules.key_attributes}
            key_text(key)
        except (ValueError, KeyError, TypeError):
            return None
        return key

    def _is_in_place(self, body: Mapping[str, Any], key: Document) -> bool:
        """Whether a document is where the record of its key is looked for."""
        try:
            address = tombstone(key, self._rules, version="", committed_at=None)
        except ValueError:
            return False
        return bool((body["id"], self._rules.partition_key_of(body)) == (address.id, address.partition_key))

    async def _release(self, body: Mapping[str, Any], note: Sidecar) -> Outcome:
        partition_key = self._rules.partition_key_of(body)
        condition: dict[str, Any] = {"etag": body["_etag"], "match_condition": MatchConditions.IfNotModified}

        async def send(hook: Hook) -> None:
            now = self._calls.now()
            if note.deleted or note.expires_at is None or note.expires_at <= now:
                await self._container.delete_item(body["id"], partition_key, response_hook=hook, **condition)
                return
            operations: list[dict[str, Any]] = [
                {"op": "add", "path": "/ttl", "value": ttl_s(note.expires_at, now)},
                {"op": "remove", "path": f"/{SIDECAR}/held"},
            ]
            await self._container.patch_item(body["id"], partition_key, operations, response_hook=hook, **condition)

        key = self._key(body)
        return await self._conditionally(body["id"] if key is None else key_text(key), send)

    async def _conditionally(self, key: str, send: Callable[[Hook], Any]) -> Outcome:
        """A conditional write that may fail: whoever changed the document meanwhile has finished it."""
        try:
            await self._calls.write_once([key], send)
        except AmbiguousError:
            return Outcome.UNKNOWN
        except AzureRefusal as refusal:
            if refusal.status not in CONFLICTS:
                raise
            return Outcome.CONFLICT
        return Outcome.DONE

    async def _pages(
        self, query: str, feed_range: Any, token: str | None, most: int = PAGE
    ) -> AsyncGenerator[tuple[list[dict[str, Any]], str | None], None]:
        """Pages with the continuation after each; each page is repeated from the continuation before it."""
        while True:
            page, token = await self._calls.read(lambda hook, t=token: self._page(query, feed_range, t, most, hook))  # type: ignore[misc]
            if page:
                yield page, token
            if not token:
                return

    async def _page(
        self, query: str, feed_range: Any, token: str | None, most: int, hook: Hook
    ) -> tuple[list[dict[str, Any]], str | None]:
        scope: dict[str, Any] = {"feed_range": feed_range} if feed_range is not None else {}
        items = self._container.query_items(query, max_item_count=most, response_hook=hook, **scope)
        pages = items.by_page(token)
        try:
            page = [item async for item in await anext(pages)]
        except StopAsyncIteration:
            return [], None
        return page, getattr(pages, "continuation_token", None)


async def feed_ranges(container: Container) -> list[dict[str, Any]]:
    """The ranges of partition keys that together are the container."""
    return [feed_range async for feed_range in container.read_feed_ranges()]


def _held_note(body: Mapping[str, Any]) -> Sidecar | None:
    """The sidecar of a document that we hold; None where somebody has made it another's, which a repair finds."""
    with suppress(ValueError):
        note = sidecar(body)
        if note.deleted or note.expires_at is not None:
            return note
    return None

"""The change feed: what was written to a container, by whomever, looked at for records that are not ours."""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import anyio.lowlevel

from connectors.azure.cosmos.calls import Calls, Hook
from connectors.azure.cosmos.mapping import MappingRules, from_cosmos, matches_digest
from connectors.azure.cosmos.scanning import feed_ranges
from connectors.azure.cosmos.sdk import Feeding
from connectors.azure.cosmos.sidecar import is_ours, is_tombstone
from connectors.azure.errors import AzureRefusal
from connectors.azure.parallel import those_foreign
from replicator.documents import key_text
from replicator.errors import TransientError
from replicator.model import Foreign, Watched

PAGE = 50
"""Documents asked for at once: what is held beside all else, whatever their size."""

BREATH = 50
"""Taking the digests of so many documents takes some milliseconds; then others get their turn."""

Page = tuple[list[dict[str, Any]], str | None]
"""Documents, and the continuation behind them; none where there was nothing new."""


class Watcher:
    """Reads the change feed of one container, in the mode that shows the latest version of each document.

    Each range of partition keys is read by itself, with a continuation of the SDK's that outlives splits and merges.
    """

    def __init__(self, container: Feeding, calls: Calls, rules: MappingRules) -> None:
        self._container = container
        self._calls = calls
        self._rules = rules

    async def watch(self, position: str | None) -> AsyncGenerator[Watched, None]:
        """See `replicator.ports.Target.watch`."""
        reached: list[list[Any]] = json.loads(position) if position else await self._beginnings()
        for place in reached:
            while (page := await self._read(place))[1] is not None:
                place[1] = page[1]
                yield Watched(len(page[0]), tuple(await self._foreign(page[0])), json.dumps(reached))

    async def still_foreign(self, records: Sequence[Foreign]) -> list[Foreign]:
        """See `replicator.ports.Target.still_foreign`."""

        async def is_foreign(handle: str) -> bool:
            id_, partition_key = json.loads(handle)

            async def read(hook: Hook) -> dict[str, Any]:
                return await self._container.read_item(id_, partition_key, response_hook=hook)

            body = await self._calls.find(read)
            return body is not None and not is_intact(body)

        return await those_foreign(records, is_foreign)

    async def _beginnings(self) -> list[list[Any]]:
        ranges = await self._calls.read(lambda _: feed_ranges(self._container))
        return [[feed_range, None] for feed_range in ranges]

    async def _read(self, place: Sequence[Any]) -> Page:
        """The next page. A continuation that the service does not know any more is not believed to be the end."""
        try:
            return await self._calls.read(lambda hook: self._page(place[0], place[1], hook))
        except AzureRefusal:
            if place[1] is None:
                raise
            return await self._calls.read(lambda hook: self._page(place[0], None, hook))

    async def _page(self, feed_range: Any, token: str | None, hook: Hook) -> Page:
        """Without a range the SDK installs a handler of its own for all logs, so it is always given one."""
        where: dict[str, Any] = (
            {"continuation": token} if token else {"feed_range": feed_range, "start_time": "Beginning"}
        )
        pages = self._container.query_items_change_feed(max_item_count=PAGE, response_hook=hook, **where).by_page()
        try:
            page = [item async for item in await anext(pages)]
        except StopAsyncIteration:
            return [], None
        return page, _continuation(getattr(pages, "continuation_token", None))

    async def _foreign(self, page: Sequence[Mapping[str, Any]]) -> list[Foreign]:
        found: list[Foreign] = []
        for index, body in enumerate(page):
            if index % BREATH == BREATH - 1:
                await anyio.lowlevel.checkpoint()
            if not is_intact(body):
                found.append(self._named(body))
        return found

    def _named(self, body: Mapping[str, Any]) -> Foreign:
        handle = json.dumps([body["id"], self._rules.partition_key_of(body)])
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            document = from_cosmos(body)
            return Foreign(key_text({name: document[name] for name in self._rules.key_attributes}), handle)
        return Foreign(f"document {body['id']}", handle)


def is_intact(body: Mapping[str, Any]) -> bool:
    """Whether a document is as replicator has written it."""
    return is_ours(body) and (is_tombstone(body) or matches_digest(body))


def _continuation(token: object) -> str:
    """The SDK takes it from the headers of the client's latest answer, which may be another call's by then.

    Raises TransientError: the page is read again.
    """
    with suppress(ValueError, Base64Error, TypeError):
        if "continuation" in json.loads(b64decode(str(token), validate=True)):
            return str(token)
    raise TransientError("the change feed gave no continuation")

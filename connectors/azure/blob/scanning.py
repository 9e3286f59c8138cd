"""Reading a container from end to end: everything it holds behind the prefix."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from azure.storage.blob import BlobProperties

from connectors.azure.blob.calls import Calls
from connectors.azure.blob.label import DIGEST, Found, LabelRules, found, unquoted
from connectors.azure.blob.names import object_key
from connectors.azure.blob.sdk import Container
from replicator.model import Foreign, Listed, Watched

PAGE = 1000
"""Blobs asked for at once; the service takes up to 5,000."""


class Scanner:
    """Reads one container page by page. A position is the name behind which the next page begins."""

    def __init__(self, container: Container, calls: Calls, prefix: str, rules: LabelRules | None = None) -> None:
        self._container = container
        self._calls = calls
        self._prefix = prefix
        self._rules = rules or LabelRules()
        self.page = PAGE

    async def is_empty(self) -> bool:
        """Whether not a single blob is there."""
        token = ""
        while True:
            blobs, token = await self._page(None, token, 1, [])
            if blobs or not token:
                return not blobs

    async def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
        """Every blob in the order of names. Within one scan the service's marker leads on; a position that was kept
        does without it, since a marker does not live for ever: `start_from` includes its name, which is left out.
        """
        async with aclosing(self._pages(position, ["metadata"])) as pages:
            async for blobs in pages:
                yield _listed(blobs, self._prefix)

    async def watch(self) -> AsyncGenerator[Watched, None]:
        """Everything, since no log tells what was written. A listing that was broken off begins anew."""
        include = ["metadata", "tags"] if self._rules.tags == "index" else ["metadata"]
        async with aclosing(self._pages(None, include)) as pages:
            async for blobs in pages:
                looked = [found(blob, blob.tags, self._rules) for blob in blobs]
                foreign = [blob for blob in looked if not blob.intact]
                yield Watched(len(looked), tuple(_named(blob, self._prefix) for blob in foreign), "")

    async def _pages(self, position: str | None, include: list[str]) -> AsyncGenerator[list[BlobProperties], None]:
        after, token = position, ""
        while True:
            blobs, token = await self._page(position, token, self.page, include)
            fresh = [blob for blob in blobs if str(blob.name) != after]
            if fresh:
                yield fresh
            if not token:
                return

    async def _page(
        self, start: str | None, token: str, most: int, include: list[str]
    ) -> tuple[list[BlobProperties], str]:
        where = {"start_from": start} if start else {}

        async def send() -> tuple[list[BlobProperties], str]:
            listing = self._container.list_blobs(
                name_starts_with=self._prefix or None, include=include, results_per_page=most, **where
            )
            pages = listing.by_page(token or None)
            blobs = [blob async for blob in await anext(pages)]
            return blobs, pages.continuation_token or ""

        return await self._calls.read(send)


def handle(name: str, etag: str) -> str:
    """What stands for a blob that is no record of ours."""
    return json.dumps([name, unquoted(etag)])


def parse_handle(text: str) -> tuple[str, str]:
    """Name and ETag."""
    name, etag = json.loads(text)
    return name, etag


def _named(blob: Found, prefix: str) -> Foreign:
    key = object_key(blob.name, prefix)
    return Foreign(f"blob {blob.name}" if key is None else key, blob.name)


def _listed(blobs: list[BlobProperties], prefix: str) -> Listed:
    keys: list[str] = []
    foreign: list[str] = []
    for blob in blobs:
        key = object_key(str(blob.name), prefix)
        ours = any(name.lower() == DIGEST for name in blob.metadata or {})
        if ours and key is not None:
            keys.append(key)
        else:
            foreign.append(handle(str(blob.name), str(blob.etag)))
    return Listed(tuple(keys), tuple(foreign), str(blobs[-1].name))

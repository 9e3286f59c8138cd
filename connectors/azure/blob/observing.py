"""What is held under keys: read one by one, or by a listing where many lie close together."""

from collections.abc import Sequence
from itertools import pairwise

from azure.storage.blob import BlobProperties

from connectors.azure.blob.calls import Calls
from connectors.azure.blob.label import Found, LabelRules, found
from connectors.azure.blob.names import blob_name, sort_key
from connectors.azure.blob.sdk import Blob, Container
from connectors.azure.errors import AzureRefusal
from connectors.azure.parallel import in_parallel
from replicator.model import ABSENT, Observed

MANY = 12
"""From so many names on a listing is tried."""

WORTH = 8
"""A page of a listing is worth its while when it answers for so many names, which single reads would be asked for."""

SPARE = 50
"""A page has room for so many blobs that lie between those that are asked for, beside as many again."""

MOST_PER_PAGE = 2000

Page = tuple[list[BlobProperties], bool]
"""The blobs of a page, and whether it is the last one."""


class Observer:
    """Reads blobs of one container with their labels."""

    def __init__(self, container: Container, calls: Calls, rules: LabelRules, prefix: str) -> None:
        self._container = container
        self._calls = calls
        self._rules = rules
        self._prefix = prefix
        self._sorted = True

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        """What is there under each key."""
        observed: dict[str, Observed] = dict.fromkeys(keys, ABSENT)
        named: dict[str, str] = {}
        for key in observed:
            try:
                named[blob_name(key, self._prefix)] = key
            except ValueError:  # a key that no blob can have is not there
                continue
        blobs, rest = await self._listed(sorted(named, key=sort_key))

        async def look(name: str) -> None:
            blob = await self.find(name)
            if blob is not None:
                blobs[name] = blob

        await in_parallel(look, rest)
        return {**observed, **{named[name]: blob.observed() for name, blob in blobs.items()}}

    async def find(self, name: str) -> Found | None:
        """A blob as it is now, None where there is none."""
        blob: Blob = self._container.get_blob_client(name)
        try:
            properties = await self._calls.read(blob.get_blob_properties)
            tags = await self._calls.read(blob.get_blob_tags) if self._wants_tags(properties) else None
        except AzureRefusal as refusal:
            if refusal.status in {400, 404}:  # 400: no blob can have that name, so there is none
                return None
            raise
        return found(properties, tags, self._rules)

    def _wants_tags(self, properties: BlobProperties) -> bool:
        return self._rules.tags == "index" and bool(properties.tag_count)

    async def _listed(self, names: Sequence[str]) -> tuple[dict[str, Found], list[str]]:
        """What listings show of these sorted names; and those for which they would not be worth their while."""
        blobs: dict[str, Found] = {}
        rest = list(names)
        while len(rest) >= MANY and self._sorted:
            page, last = await self._page(rest[0], min(MOST_PER_PAGE, 2 * len(rest) + SPARE))
            if not self._sorted:
                break
            shown = {str(blob.name): blob for blob in page}
            decided = [name for name in rest if last or (page and not _before(str(page[-1].name), name))]
            blobs.update((name, found(shown[name], shown[name].tags, self._rules)) for name in decided if name in shown)
            rest = rest[len(decided) :]
            if len(decided) < WORTH:
                break
        return blobs, rest

    async def _page(self, start: str, most: int) -> Page:
        """Blobs from this name on. Where they do not come in order, no listing is believed any more."""
        include = ["metadata", "tags"] if self._rules.tags == "index" else ["metadata"]

        async def send() -> Page:
            pages = self._container.list_blobs(include=include, start_from=start, results_per_page=most).by_page()
            blobs = [blob async for blob in await anext(pages)]
            return blobs, not pages.continuation_token

        blobs, last = await self._calls.read(send)
        names = [start, *(str(blob.name) for blob in blobs)]
        self._sorted = all(not _before(later, earlier) for earlier, later in pairwise(names))
        return blobs, last


def _before(name: str, other: str) -> bool:
    return sort_key(name) < sort_key(other)

"""The marker of a target: one document beside the records, in a container of its own."""

from typing import Any

from azure.core import MatchConditions

from connectors.azure.cosmos.calls import Calls, Hook
from connectors.azure.cosmos.guarded import CONFLICTS
from connectors.azure.cosmos.ids import encode_id
from connectors.azure.cosmos.sdk import Container
from connectors.azure.errors import AzureRefusal
from replicator.errors import AmbiguousError
from replicator.model import Marker


class MarkerDocument:
    """Reads and replaces the marker of one container of records."""

    def __init__(self, container: Container, calls: Calls, marked: str) -> None:
        self._container = container
        self._calls = calls
        self._id = encode_id([marked])

    async def read(self) -> Marker | None:
        """None where there is none, or not even a container for it."""
        found = await self._find()
        return None if found is None else found[0]

    async def write(self, marker: Marker, previous: Marker | None) -> bool:
        """Replaces `previous`; False when something else is there. Finds out what became of an unknown outcome."""
        while True:
            found = await self._find()
            if found is not None and found[0] == marker:
                return True
            if (None if found is None else found[0]) != previous:
                return False
            if await self._put(marker, None if found is None else found[1]):
                return True

    async def _find(self) -> tuple[Marker, str] | None:
        async def send(hook: Hook) -> dict[str, Any]:
            return await self._container.read_item(self._id, self._id, response_hook=hook)

        try:
            body = await self._calls.read(send)
        except AzureRefusal as refusal:
            if refusal.status == 404:
                return None
            raise
        return Marker(body["migration"], body["epoch"], body["generation"]), body["_etag"]

    async def _put(self, marker: Marker, etag: str | None) -> bool:
        body: dict[str, Any] = {
            "id": self._id,
            "migration": marker.migration,
            "epoch": marker.epoch,
            "generation": marker.generation,
        }

        async def send(hook: Hook) -> None:
            if etag is None:
                await self._container.create_item(body, response_hook=hook)
            else:
                await self._container.replace_item(
                    self._id, body, etag=etag, match_condition=MatchConditions.IfNotModified, response_hook=hook
                )

        try:
            await self._calls.write_once([f"marker {self._id}"], send)
        except AmbiguousError:
            return False
        except AzureRefusal as refusal:
            if refusal.status not in CONFLICTS:
                raise
            return False
        return True

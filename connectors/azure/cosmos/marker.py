"""The marker of a target: one document beside the records, in a container of its own.

It outlives the container it is about. So it says which container that was, and how the documents there were made.
"""

from dataclasses import dataclass, replace
from typing import Any

from azure.core import MatchConditions

from connectors.azure.cosmos.calls import Calls, Hook
from connectors.azure.cosmos.guarded import CONFLICTS
from connectors.azure.cosmos.ids import encode_id
from connectors.azure.cosmos.mapping import MappingRules
from connectors.azure.cosmos.sdk import Container
from connectors.azure.errors import AzureRefusal
from replicator.errors import AmbiguousError
from replicator.model import Marker


@dataclass(frozen=True, slots=True)
class Subject:
    """What a marker is about: one container, whatever its name, and the rules by which its documents are made."""

    incarnation: str
    rules: MappingRules

    def note(self) -> dict[str, Any]:
        """As it stands in the marker's document."""
        mapping = {
            "key": list(self.rules.key_attributes),
            "id": list(self.rules.id_from),
            "partition_key": [f"/{member}" for member in self.rules.partition_members],
        }
        return {"incarnation": self.incarnation, "mapping": mapping}


@dataclass(frozen=True, slots=True)
class Found:
    """The marker there is, None where it is about another container or there is none, and the ETag of its document."""

    marker: Marker | None = None
    etag: str | None = None


class MarkerDocument:
    """Reads and replaces the marker of one container of records. Without a `subject` it is about none in particular."""

    def __init__(self, container: Container, calls: Calls, marked: str) -> None:
        self.subject: Subject | None = None
        self._container = container
        self._calls = calls
        self._id = encode_id([marked])

    async def read(self) -> Marker | None:
        """None where there is none, or not even a container for it."""
        return (await self._find()).marker

    async def write(self, marker: Marker, previous: Marker | None) -> bool:
        """Replaces `previous`; False when something else is there. Finds out what became of an unknown outcome."""
        while True:
            found = await self._find()
            if found.marker == marker:
                return True
            if found.marker != previous:
                return False
            if await self._put(marker, found.etag):
                return True

    async def _find(self) -> Found:
        async def send(hook: Hook) -> dict[str, Any]:
            return await self._container.read_item(self._id, self._id, response_hook=hook)

        try:
            body = await self._calls.read(send)
        except AzureRefusal as refusal:
            if refusal.status == 404:
                return Found()
            raise
        return Found(self._judged(body), body["_etag"])

    def _judged(self, body: dict[str, Any]) -> Marker | None:
        marker = Marker(body["migration"], body["epoch"], body["generation"])
        if self.subject is None:
            return marker
        noted, wanted = body.get("mapping", {}), self.subject.note()
        if body.get("incarnation") != wanted["incarnation"]:
            return None
        if noted == wanted["mapping"]:
            return marker
        obstacle = f"its documents were written with {_told(noted)}, the config now says {_told(wanted['mapping'])}"
        return replace(marker, obstacle=obstacle)

    async def _put(self, marker: Marker, etag: str | None) -> bool:
        body: dict[str, Any] = {
            "id": self._id,
            "migration": marker.migration,
            "epoch": marker.epoch,
            "generation": marker.generation,
            **(self.subject.note() if self.subject else {}),
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


def _told(mapping: dict[str, list[str]]) -> str:
    """For people, in the words of the config."""
    return "; ".join(f"{name.replace('_', ' ')} {', '.join(values)}" for name, values in mapping.items())

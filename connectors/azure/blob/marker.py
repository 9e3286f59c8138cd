"""The marker of a target: one blob beside the objects, in a container of its own.

It outlives the container it is about. So it says which container that was, and behind which prefix its blobs are.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from azure.storage.blob import ContentSettings

from connectors.azure.blob.calls import CONFLICTS, Calls
from connectors.azure.blob.label import unquoted
from connectors.azure.blob.sdk import Container
from connectors.azure.blob.writing import ABSENT_ONLY, unchanged
from connectors.azure.errors import AzureRefusal
from replicator.errors import AmbiguousError, ForeignOwnerError
from replicator.model import Marker


@dataclass(frozen=True, slots=True)
class Subject:
    """What a marker is about: one container, whatever its name, and where in it."""

    incarnation: str
    prefix: str


@dataclass(frozen=True, slots=True)
class FoundMarker:
    """The marker there is, None where it is about another container or there is none, and the ETag of its blob."""

    marker: Marker | None = None
    etag: str | None = None


class MarkerBlob:
    """Reads and replaces the marker of one container of objects. Without a `subject` it is about none in particular."""

    def __init__(self, container: Container, calls: Calls, marked: str) -> None:
        self.subject: Subject | None = None
        self._name = f"{marked}.json"
        self._container = container
        self._calls = calls

    async def read(self) -> Marker | None:
        """None where there is none, or not even a container for it. Raises ForeignOwnerError for what is no marker."""
        return (await self._find()).marker

    async def write(self, marker: Marker, previous: Marker | None) -> bool:
        """Replaces `previous`; False when another marker is there. Finds out what became of an unknown outcome.

        Raises ForeignOwnerError for what is no marker.
        """
        while True:
            there = await self._find()
            if there.marker == marker:
                return True
            if there.marker != previous:
                return False
            if await self._put(marker, there.etag):
                return True

    async def _find(self) -> FoundMarker:
        blob = self._container.get_blob_client(self._name)

        async def send() -> tuple[bytes, str]:
            download = await blob.download_blob()
            return await download.readall(), download.properties.etag

        held = await self._calls.find(send)
        return FoundMarker() if held is None else FoundMarker(self._judged(held[0]), unquoted(held[1]))

    def _judged(self, data: bytes) -> Marker | None:
        """None where it is about another container. Raises ForeignOwnerError for what is no marker."""
        try:
            body = json.loads(data)
            marker = Marker(body["migration"], body["epoch"], body["generation"])
        except (ValueError, TypeError, KeyError) as error:
            raise ForeignOwnerError(
                f"blob {self._name}, where the target's marker should be, is none. Find out whose it is and remove it, "
                "or name another marker_container"
            ) from error
        if self.subject is None:
            return marker
        if body.get("incarnation") != self.subject.incarnation:
            return None
        if body.get("prefix") == self.subject.prefix:
            return marker
        obstacle = f"its blobs have the prefix {body.get('prefix')!r}, the config now says {self.subject.prefix!r}"
        return replace(marker, obstacle=obstacle)

    async def _put(self, marker: Marker, etag: str | None) -> bool:
        body: dict[str, Any] = {"migration": marker.migration, "epoch": marker.epoch, "generation": marker.generation}
        if self.subject is not None:
            body |= {"incarnation": self.subject.incarnation, "prefix": self.subject.prefix}
        blob, data = self._container.get_blob_client(self._name), json.dumps(body).encode()
        options: dict[str, Any] = {
            **(ABSENT_ONLY if etag is None else unchanged(etag)),
            "overwrite": True,
            "content_settings": ContentSettings(content_type="application/json"),
        }
        try:
            await self._calls.write_once([f"marker {self._name}"], lambda: blob.upload_blob(data, **options))
        except AmbiguousError:
            return False
        except AzureRefusal as refusal:
            if refusal.code not in CONFLICTS:
                raise
            return False
        return True

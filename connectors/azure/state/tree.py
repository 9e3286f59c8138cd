"""How the cells hang together: a catalogue names the pipelines, the root of each names its children.

    catalogue.json                             which pipelines there are, how many segments the audit log has
    pipelines/<pipeline>/root.json             its state, and the blob of each child
    pipelines/<pipeline>/<incarnation>/*.json  children: a checkpoint, a note, a bucket of dead letters each
    audit/<segment>.json                       actions

What is not named by its parent is not there. A child is made under a new name, which nobody looks at, and exists when
the root that names it has been replaced; several that have to be saved in one step are all made anew, and one
replacement of the root makes them the valid ones. So whatever the step at which a process ends, a reader sees all of a
save or nothing. A child that exists is replaced in place, by a single request.

Parents are sealed before their children when the lease is taken over: a former holder can then no longer add a child,
and those that there are no longer change after they have been sealed in turn.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import anyio

from connectors.azure.state.cells import Cell, CellGoneError, Cells, each
from replicator.errors import ConfigurationError, TransientError

CATALOGUE = "catalogue.json"
NO_CATALOGUE: dict[str, Any] = {"pipelines": [], "segments": 1}
NO_ROOT: dict[str, Any] = {"state": None, "incarnation": "first", "children": {}, "closed": {}}


class Tree:
    """The cells of one migration.

    While the lease is ours nobody else writes, so what we have written is remembered: each root, and the ETag of each
    child. Without a lease everything is looked up.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._roots: dict[str, Cell] = {}
        self._etags: dict[str, str | None] = {}
        self._locks: dict[str, anyio.Lock] = {}

    async def catalogue(self) -> Cell:
        """With the defaults where there is none."""
        cell = await self._cells.read(CATALOGUE)
        return cell if cell.body is not None else Cell(body=NO_CATALOGUE)

    async def update_catalogue(self, change: Callable[[Any], Any]) -> Cell:
        """Raises LeaseLostError."""
        return await self._cells.update(CATALOGUE, lambda body: change(body or NO_CATALOGUE))

    async def root(self, pipeline: str) -> Cell:
        """With the defaults where there is none."""
        if self._cells.ours and pipeline in self._roots:
            return self._roots[pipeline]
        cell = await self._cells.read(root_name(pipeline))
        return cell if cell.body is not None else Cell(body=NO_ROOT)

    async def update_root(self, pipeline: str, change: Callable[[Any], Any]) -> Cell:
        """Raises LeaseLostError."""
        async with self._lock(pipeline):
            known, floor = self._roots.pop(pipeline, None), 0
            if known is None:
                known = await self._cells.read(root_name(pipeline))
                floor = 0 if known.etag else (await self._enter(pipeline)).term
            name = root_name(pipeline)
            made = await self._cells.update(name, lambda body: change(body or NO_ROOT), known=known, floor=floor)
            if self._cells.ours:
                self._roots[pipeline] = made
            return made

    async def child(self, pipeline: str, name: str) -> Any:
        """The body of a child, None where there is none. Raises ConfigurationError where its blob is missing."""
        while (blob := (await self.root(pipeline)).body["children"].get(name)) is not None:
            cell = await self._cells.read(blob)
            if cell.body is not None:
                return cell.body
            await self._require_moved(pipeline, name, blob)
        return None

    async def children(self, pipeline: str, kind: str, only: Collection[str] | None = None) -> dict[str, Any]:
        """The bodies of those children of a kind that are there, of these or of all."""
        root, found = await self.root(pipeline), {}
        names = [name for name in root.body["children"] if is_kind(name, kind) and (only is None or name in only)]

        async def read(name: str) -> None:
            body = await self.child(pipeline, name)
            if body is not None:
                found[name] = body

        await each(read, names)
        return {name: found[name] for name in names if name in found}

    async def save(self, pipeline: str, bodies: Mapping[str, Any]) -> None:
        """Makes or replaces children, in one step. One request where it is a single one that is there already.

        Raises LeaseLostError.
        """
        if len(bodies) == 1:
            ((name, body),) = bodies.items()
            if await self.change(pipeline, name, lambda _: body):
                return
        root = await self.root(pipeline)
        await self._cells.require(root.term)
        blobs = {name: child_blob(pipeline, root.body["incarnation"]) for name in bodies}

        async def make(name: str) -> None:
            await self._make(blobs[name], bodies[name], root.term)

        await each(make, blobs)
        replaced: list[str] = []

        def point(body: Any) -> Any:
            replaced[:] = [body["children"][name] for name in blobs if name in body["children"]]
            return {**body, "children": {**body["children"], **blobs}}

        await self.update_root(pipeline, point)
        await self.discard(replaced)

    async def change(self, pipeline: str, name: str, change: Callable[[Any], Any], *, blind: bool = True) -> bool:
        """Replaces a child in place; False where there is none. `blind` where the change does not look at the body.

        Raises LeaseLostError.
        """
        while (root := await self.root(pipeline)).body["children"].get(name) is not None:
            blob = root.body["children"][name]
            etag = self._etags.pop(blob, None) if self._cells.ours else None
            known = Cell(self._cells.term or 0, None, "", etag) if blind and etag else None
            with suppress(CellGoneError):
                made = await self._cells.update(blob, change, known=known, floor=root.term, there=True)
                self._remember(blob, made)
                return True
            await self._require_moved(pipeline, name, blob)
        return False

    async def ensure(self, pipeline: str, names: Collection[str], body: Any) -> None:
        """Makes those children that are missing, of this body. Raises LeaseLostError."""
        root = await self.root(pipeline)
        missing = [name for name in names if name not in root.body["children"]]
        if not missing:
            return
        blobs = {name: child_blob(pipeline, root.body["incarnation"]) for name in missing}
        await each(lambda blob: self._make(blob, body, root.term), blobs.values())
        await self.update_root(pipeline, lambda root: {**root, "children": {**blobs, **root["children"]}})

    async def forget(self, pipeline: str, names: Collection[str]) -> None:
        """Those children are no longer there, in one step. Raises LeaseLostError."""
        gone: list[str] = []

        def drop(body: Any) -> Any:
            gone[:] = [blob for name, blob in body["children"].items() if name in names]
            kept = {name: blob for name, blob in body["children"].items() if name not in names}
            return {**body, "children": kept}

        await self.update_root(pipeline, drop)
        await self.discard(gone)

    async def discard(self, blobs: Collection[str]) -> None:
        """Removes what nobody names any more. What cannot be removed now is left to `sweep`."""
        for blob in blobs:
            self._etags.pop(blob, None)
        await each(self._remove, blobs)

    async def sweep(self, pipeline: str) -> None:
        """Removes the children of former incarnations: listed before it is asked which is the present one, so that a
        former holder of the lease, who does this late, removes nothing of a later one.
        """
        with suppress(TransientError):
            found = [name async for name in self._cells.blobs.names(folder(pipeline))]
            root = await self._cells.read(root_name(pipeline))
            kept = (root_name(pipeline), f"{folder(pipeline)}{(root.body or NO_ROOT)['incarnation']}/")
            await self.discard([name for name in found if not name.startswith(kept)])

    async def seal(self) -> None:
        """Makes every cell one of the present term, parents first. Raises LeaseLostError."""
        self._roots.clear()
        self._etags.clear()
        catalogue = (await self.update_catalogue(lambda body: body)).body
        last = segment_name(catalogue["segments"] - 1)
        await self._cells.update(last, lambda body: body or [])
        for pipeline in catalogue["pipelines"]:
            root = await self.update_root(pipeline, lambda body: body)
            await each(self._seal, root.body["children"].values())

    async def _seal(self, blob: str) -> None:
        with suppress(CellGoneError):
            self._remember(blob, await self._cells.update(blob, lambda body: body, there=True))

    async def _make(self, blob: str, body: Any, term: int) -> None:
        self._remember(blob, await self._cells.make(blob, body, term))

    async def _remove(self, blob: str) -> None:
        with suppress(TransientError):
            await self._cells.blobs.remove(blob)

    async def _enter(self, pipeline: str) -> Cell:
        def enter(body: Any) -> Any:
            return {**body, "pipelines": sorted({*body["pipelines"], pipeline})}

        return await self.update_catalogue(enter)

    def _remember(self, blob: str, cell: Cell) -> None:
        if self._cells.ours:
            self._etags[blob] = cell.etag

    async def _require_moved(self, pipeline: str, name: str, blob: str) -> None:
        """Raises ConfigurationError where a blob is gone that is still named: somebody else has removed it."""
        self._roots.pop(pipeline, None)
        if (await self.root(pipeline)).body["children"].get(name) == blob:
            raise ConfigurationError(
                "state",
                f"blob {blob} of the state is missing: something else has removed it",
                "Restore it where the account keeps what is deleted; otherwise begin with an empty state and --adopt",
            )

    def _lock(self, pipeline: str) -> anyio.Lock:
        return self._locks.setdefault(pipeline, anyio.Lock())


def is_kind(name: str, kind: str) -> bool:
    """Children are called `kind:name`."""
    return name.startswith(f"{kind}:")


def folder(pipeline: str) -> str:
    """Of all blobs of a pipeline."""
    return f"pipelines/{quote(pipeline, safe='')}/"


def root_name(pipeline: str) -> str:
    """The blob of a pipeline's root."""
    return f"{folder(pipeline)}root.json"


def child_blob(pipeline: str, incarnation: str) -> str:
    """A name that nobody has had."""
    return f"{folder(pipeline)}{incarnation}/{uuid.uuid4().hex}.json"


def segment_name(segment: int) -> str:
    """The blob of a part of the audit log."""
    return f"audit/{segment:08}.json"

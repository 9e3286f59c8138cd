"""The state store in blobs, for replicas on several hosts.

What each method promises is in `replicator.ports.StateStore`. Where several blobs change in one save, it is a
replacement of the root that counts (see `connectors.azure.state.tree`), with one exception: dead letters of several
keys are written bucket by bucket. A process that ends in between has recorded, closed or expired some of them, each
together with its count. Every promise is kept nevertheless: they are recorded before the position is saved, so the same
changes are refused once more; and those that were not closed are still open, for whoever asks to close them again.
"""

import json
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from connectors.azure.state import letters as boxes
from connectors.azure.state.blobs import Blobs
from connectors.azure.state.carrying import clear_pipeline, read_pipeline, write_pipeline
from connectors.azure.state.cells import Cells, each
from connectors.azure.state.lease import Lease
from connectors.azure.state.letters import EMPTY, Bucket, by_bucket
from connectors.azure.state.rows import action_members, checkpoint_members, read_action, read_checkpoint
from connectors.azure.state.tree import Tree, segment_name
from replicator.clocks import elapsed_s, utc_now
from replicator.delivery import Backoff
from replicator.model import (
    Action,
    Checkpoint,
    DeadLetter,
    DeadLetterSummary,
    LetterCount,
    Outcome,
    PipelineState,
    Rejection,
)
from replicator.state.contents import Entry, Identity, Standings, read_standings
from replicator.state.rows import place_columns, read_state, state_text

SEGMENT = 200
"""Actions in one blob of the audit log."""

MIGRATION = "migration.json"


class BlobStore:
    """Opened with `async with`, which sends nothing."""

    def __init__(self, blobs: Blobs, backoff: Backoff | None = None, clock: Callable[[], float] = elapsed_s) -> None:
        self._cells = Cells(blobs, backoff or Backoff())
        self._tree = Tree(self._cells)
        self._lease = Lease(self._cells, self._seal, clock)
        self._summaries: dict[tuple[str, str], DeadLetterSummary] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def migration_id(self) -> str:
        cell = await self._cells.read(MIGRATION)
        if cell.body is None:
            minted = uuid.uuid4().hex
            cell = await self._cells.update(MIGRATION, lambda body: body or minted, known=cell)
        return str(cell.body)

    async def load_pipeline(self, pipeline: str) -> PipelineState | None:
        state = (await self._tree.root(pipeline)).body["state"]
        return None if state is None else read_state(json.dumps(state))

    async def save_pipeline(self, pipeline: str, state: PipelineState) -> None:
        members = json.loads(state_text(state))
        await self._tree.update_root(pipeline, lambda root: {**root, "state": members})

    async def begin_epoch(self, pipeline: str, state: PipelineState) -> None:
        buckets = await self._buckets(pipeline)
        compared = boxes.tallied({}, boxes.open_reasons(buckets), Outcome.COMPARED)
        ended = boxes.merged([*(bucket["closed"] for bucket in buckets), compared])
        members, incarnation = json.loads(state_text(state)), uuid.uuid4().hex

        def begin(root: Any) -> Any:
            closed = boxes.merged([root["closed"], ended])
            return {"state": members, "incarnation": incarnation, "children": {}, "closed": closed}

        await self._tree.update_root(pipeline, begin)
        await self._tree.sweep(pipeline)

    async def load_checkpoints(self, pipeline: str) -> list[Checkpoint]:
        found = await self._tree.children(pipeline, "checkpoint")
        return [read_checkpoint(members) for members in found.values()]

    async def save_checkpoints(self, pipeline: str, checkpoints: Sequence[Checkpoint]) -> None:
        if checkpoints:
            bodies = {f"checkpoint:{c.partition.id}": checkpoint_members(c) for c in checkpoints}
            await self._tree.save(pipeline, bodies)

    async def forget_partitions(self, pipeline: str, partitions: Sequence[str]) -> None:
        if partitions:
            await self._tree.forget(pipeline, [f"checkpoint:{id_}" for id_ in partitions])

    async def load_note(self, pipeline: str, name: str) -> str | None:
        note: str | None = await self._tree.child(pipeline, f"note:{name}")
        return note

    async def save_note(self, pipeline: str, name: str, text: str) -> None:
        await self._tree.save(pipeline, {f"note:{name}": text})

    async def add_action(self, action: Action) -> None:
        while True:
            catalogue = await self._tree.catalogue()
            segment = catalogue.body["segments"] - 1
            if await self._append(segment, action_members(action), catalogue.term):
                return
            await self._begin_segment(segment + 1)

    async def actions(self, limit: int = 1000, after: int = 0) -> list[Action]:
        found: list[Action] = []
        segments = (await self._tree.catalogue()).body["segments"]
        for segment in range(after // SEGMENT, segments):
            members = (await self._cells.read(segment_name(segment))).body or []
            places = range(segment * SEGMENT + 1, segment * SEGMENT + 1 + len(members))
            found += [read_action(each, place) for each, place in zip(members, places, strict=True) if place > after]
            if len(found) >= limit:
                break
        return found[:limit]

    async def add_dead_letters(self, pipeline: str, partition: str, rejections: Sequence[Rejection]) -> None:
        now = utc_now()
        in_buckets: dict[str, list[Rejection]] = {}
        for rejection in rejections:
            in_buckets.setdefault(boxes.bucket_of(rejection.key), []).append(rejection)
        # Made empty: a blob that nobody names yet must not hold a body that would never expire.
        await self._tree.ensure(pipeline, [f"letters:{name}" for name in in_buckets], EMPTY)

        async def add(name: str) -> None:
            await self._change(pipeline, name, lambda held: boxes.added(held, partition, in_buckets[name], now))

        await each(add, in_buckets)

    async def dead_letters(
        self, pipeline: str | None = None, limit: int = 1000, after: str | None = None
    ) -> list[DeadLetter]:
        behind = None if after is None else place_columns(after)
        place = None if behind is None else (datetime.fromisoformat(behind[0]), *behind[1:])
        pipelines = [pipeline] if pipeline else (await self._tree.catalogue()).body["pipelines"]
        found: list[DeadLetter] = []
        for name in pipelines:
            for bucket in await self._buckets(name):
                found += [each for each in boxes.listed(name, bucket) if place is None or boxes.age(each) > place]
            found = sorted(found, key=boxes.age)[:limit]
        return found

    async def dead_letters_of(self, pipeline: str, keys: Sequence[str]) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        for bucket in await self._buckets(pipeline, by_bucket(keys)):
            found += boxes.listed(pipeline, bucket, frozenset(keys))
        return sorted(found, key=boxes.age)

    async def dead_letter_summary(self, pipeline: str) -> DeadLetterSummary:
        root = await self._tree.root(pipeline)
        names = [name.partition(":")[2] for name in root.body["children"] if name.startswith("letters:")]
        unknown = [name for name in names if not self._cells.ours or (pipeline, name) not in self._summaries]
        await self._buckets(pipeline, unknown)
        return boxes.summed([self._summaries.get((pipeline, name), DeadLetterSummary()) for name in names])

    async def resolve_dead_letters(self, letters: Sequence[DeadLetter]) -> int:
        return await self._close(letters, Outcome.RESOLVED)

    async def discard_dead_letters(self, letters: Sequence[DeadLetter]) -> int:
        return await self._close(letters, Outcome.DISCARDED)

    async def count_letters(self, pipeline: str) -> list[LetterCount]:
        buckets = await self._buckets(pipeline)
        return boxes.counted(buckets, (await self._tree.root(pipeline)).body["closed"])

    async def discarded(self, pipeline: str, keys: Sequence[str] | None = None) -> dict[str, str]:
        found: dict[str, str] = {}
        for bucket in await self._buckets(pipeline, None if keys is None else by_bucket(keys)):
            found |= bucket["discarded"]
        wanted = list(found)[:1] if keys is None else keys
        return {key: found[key] for key in wanted if key in found}

    async def expire_payloads(self, before: datetime) -> int:
        total = 0
        for pipeline in (await self._tree.catalogue()).body["pipelines"]:
            for name, bucket in (await self._tree.children(pipeline, "letters")).items():
                if boxes.expired(bucket, before)[1]:
                    total += await self._expire(pipeline, name.partition(":")[2], before)
            await self._tree.sweep(pipeline)
        return total

    async def acquire_lease(self, owner: str, duration_s: float) -> float:
        return await self._lease.acquire(owner, duration_s)

    async def release_lease(self, owner: str, linger_s: float) -> None:
        await self._lease.release(owner, linger_s)

    async def lease_owner(self) -> str | None:
        return await self._lease.owner()

    async def standings(self) -> Standings:
        return read_standings((await self._tree.catalogue()).body.get("standings"))

    async def set_standings(self, standings: Standings) -> None:
        await self._tree.update_catalogue(lambda body: {**body, "standings": standings.text()})

    async def contents(self) -> AsyncGenerator[Sequence[Entry], None]:
        identity = (await self._cells.read(MIGRATION)).body
        if identity is not None:
            yield [Identity(str(identity))]
        for pipeline in (await self._tree.catalogue()).body["pipelines"]:
            async for entries in read_pipeline(self._tree, pipeline):
                if entries:
                    yield entries
        after = 0
        while found := await self.actions(after=after):
            yield found
            after = found[-1].place

    async def restore(self, entries: Sequence[Entry]) -> None:
        self._summaries.clear()
        in_pipelines: dict[str, list[Entry]] = {}
        actions: list[Action] = []
        for entry in entries:
            match entry:
                case Identity(migration):
                    await self._identify(migration)
                case Action():
                    actions.append(entry)
                case _:
                    in_pipelines.setdefault(entry.pipeline, []).append(entry)
        for pipeline, those in in_pipelines.items():
            await write_pipeline(self._tree, pipeline, those)
        await self._append_all(actions)

    async def clear(self) -> None:
        self._summaries.clear()
        catalogue = (await self._tree.update_catalogue(lambda body: body)).body
        for pipeline in catalogue["pipelines"]:
            await clear_pipeline(self._tree, pipeline)
        for segment in range(catalogue["segments"]):
            await self._cells.update(segment_name(segment), lambda _: [])
        await self._tree.update_catalogue(lambda body: {**body, "segments": 1})
        await self._identify(None)

    async def _identify(self, migration: str | None) -> None:
        await self._cells.update(MIGRATION, lambda _: migration, floor=self._cells.term or 0)

    async def _append_all(self, actions: Sequence[Action]) -> None:
        """Behind those that there are, where they get the places that they had: none is ever left out."""
        left = [action_members(action) for action in actions]
        while left:
            catalogue = await self._tree.catalogue()
            segment = catalogue.body["segments"] - 1
            held = (await self._cells.read(segment_name(segment))).body or []
            room = SEGMENT - len(held)
            await self._write_segment(segment, [*held, *left[:room]], catalogue.term)
            del left[:room]
            if left:
                await self._begin_segment(segment + 1)

    async def _write_segment(self, segment: int, actions: Sequence[Any], floor: int) -> None:
        await self._cells.update(segment_name(segment), lambda _: list(actions), floor=floor)

    async def _seal(self) -> None:
        self._summaries.clear()
        await self._tree.seal()

    async def _begin_segment(self, segment: int) -> None:
        def begin(body: Any) -> Any:
            return {**body, "segments": max(body["segments"], segment + 1)}

        await self._tree.update_catalogue(begin)

    async def _append(self, segment: int, members: Any, floor: int) -> bool:
        """False where the segment is full."""
        fits = True

        def append(body: Any) -> Any:
            nonlocal fits
            fits = len(body or []) < SEGMENT
            return [*(body or []), members] if fits else body

        await self._cells.update(segment_name(segment), append, floor=floor)
        return fits

    async def _buckets(self, pipeline: str, names: Any = None) -> list[Bucket]:
        """Those that there are, of these or of all."""
        only = None if names is None else {f"letters:{name}" for name in names}
        found = await self._tree.children(pipeline, "letters", only)
        for name, bucket in found.items():
            self._summaries[pipeline, name.partition(":")[2]] = boxes.summary(bucket)
        return list(found.values())

    async def _change(self, pipeline: str, name: str, change: Callable[[Bucket], Bucket]) -> bool:
        self._summaries.pop((pipeline, name), None)
        return await self._tree.change(pipeline, f"letters:{name}", change, blind=False)

    async def _close(self, letters: Sequence[DeadLetter], outcome: Outcome) -> int:
        total = 0
        for pipeline in {letter.pipeline for letter in letters}:
            in_buckets: dict[str, list[DeadLetter]] = {}
            for letter in letters:
                if letter.pipeline == pipeline:
                    in_buckets.setdefault(boxes.bucket_of(letter.key), []).append(letter)
            total += await self._close_each(pipeline, in_buckets, outcome)
        return total

    async def _close_each(self, pipeline: str, letters: Mapping[str, list[DeadLetter]], outcome: Outcome) -> int:
        numbers: list[int] = []

        async def close(name: str) -> None:
            numbers.append(await self._close_in(pipeline, name, letters[name], outcome))

        await each(close, letters)
        return sum(numbers)

    async def _close_in(self, pipeline: str, name: str, letters: Sequence[DeadLetter], outcome: Outcome) -> int:
        gone: list[DeadLetter] = []

        def close(bucket: Bucket) -> Bucket:
            made, gone[:] = boxes.closed(bucket, letters, outcome)
            return made

        return len(gone) if await self._change(pipeline, name, close) else 0

    async def _expire(self, pipeline: str, name: str, before: datetime) -> int:
        number = 0

        def expire(bucket: Bucket) -> Bucket:
            nonlocal number
            made, number = boxes.expired(bucket, before)
            return made

        return number if await self._change(pipeline, name, expire) else 0

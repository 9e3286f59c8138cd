"""Watches the target for records that are not of our making: one writer is what every promise rests on."""

import json
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Generic

import anyio

from replicator.engine.gate import Gate
from replicator.engine.standing import Standing
from replicator.model import Foreign, R
from replicator.naming import Naming
from replicator.ports import Source, StateStore, Target
from replicator.status import ForeignStatus
from replicator.telemetry import PipelineTelemetry

NOTE = "foreign"

MOST_KEPT = 1000
"""Foreign records that are remembered one by one. When all of these are gone, everything is looked at again."""

RECORDS_PER_S = 2000
"""At most so many are looked at, so that a scan takes little from the target and from this process."""

WAIT_S = 0.5
"""How often it is looked whether the pipeline follows by now."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is remembered. `more` says that there were others beside those that are kept; `scanned_at` is when the last
    scan that came to its end began, by the source's clock.
    """

    position: str | None = None
    scanned_at: datetime | None = None
    records: tuple[Foreign, ...] = ()
    more: bool = False

    def note(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), default=datetime.isoformat)


def read_note(note: str | None) -> Found:
    """The inverse of `Found.note`; nothing where there is none."""
    if note is None:
        return Found()
    members = json.loads(note)
    at = members["scanned_at"]
    return Found(
        position=members["position"],
        scanned_at=None if at is None else datetime.fromisoformat(at),
        records=tuple(Foreign(**record) for record in members["records"]),
        more=members["more"],
    )


class Watching(Generic[R]):
    """Watches the target of one pipeline, from the moment it follows."""

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        target: Target[R],
        store: StateStore,
        standing: Standing,
        interval_s: float,
        telemetry: PipelineTelemetry,
        gate: Gate,
        naming: Naming,
    ) -> None:
        self.found = Found()
        self._pipeline = pipeline
        self._source = source
        self._target = target
        self._store = store
        self._standing = standing
        self._interval_s = interval_s
        self._telemetry = telemetry
        self._gate = gate
        self._naming = naming

    @property
    def status(self) -> ForeignStatus | None:
        """What is known; None before the first scan has come to its end. However many more there are count as one."""
        if self.found.scanned_at is None:
            return None
        return ForeignStatus(scanned_at=self.found.scanned_at, found=len(self.found.records) + self.found.more)

    async def take_up(self) -> None:
        """What an earlier run has found."""
        self.found = read_note(await self._store.load_note(self._pipeline, NOTE))

    async def run(self) -> None:
        """Scans at intervals until cancelled."""
        while not self._standing.state.phase.follows:  # noqa: ASYNC110 — it is some minutes at most
            await anyio.sleep(WAIT_S)
        while True:
            await self._scan()
            await anyio.sleep(self._interval_s)

    async def _scan(self) -> None:
        """What was written since the last scan, and then again what had been found: that may be ours by now."""
        await self._gate.passed()
        begun = self._source.clock.earliest()
        async with aclosing(self._target.watch(self.found.position or None)) as pages:
            async for page in pages:
                await self._save(self._with(page.foreign, page.position))
                await anyio.sleep(page.records / RECORDS_PER_S)
                await self._gate.passed()
        still = tuple(await self._target.still_foreign(self.found.records))
        found = replace(self.found, records=still, scanned_at=begun)
        if found.more and not still:
            found = Found()  # there were others, of which nothing is known until everything was looked at again
        await self._save(found)

    def _with(self, foreign: tuple[Foreign, ...], position: str) -> Found:
        known = {record.handle for record in self.found.records}
        new = [record for record in foreign if record.handle not in known]
        kept = new[: MOST_KEPT - len(known)]
        if new:
            names = [self._naming.key(record.name) for record in new[:3]]
            self._telemetry.log.warning("the target holds records that are not ours", count=len(new), first=names)
        more = self.found.more or len(new) > len(kept)
        return replace(self.found, position=position, records=(*self.found.records, *kept), more=more)

    async def _save(self, found: Found) -> None:
        if found == self.found:
            return
        await self._store.save_note(self._pipeline, NOTE, found.note())
        self.found = found

"""Keeps the histories of all pipelines while the daemon runs, and saves them now and then."""

from collections.abc import Mapping

import anyio

from replicator.clocks import utc_now
from replicator.engine.rounds import Round
from replicator.ports import StateStore
from replicator.report.history import History, Witness, read_history, write_history
from replicator.status import PipelineStatus

EVERYWHERE = ""
"""Histories are notes of no pipeline, so no epoch ends them."""

SAVE_INTERVAL_S = 30.0
"""So much of a history is lost in a crash, at most; the lag shows a gap then."""


def note_of(pipeline: str) -> str:
    """The name of the note that holds the pipeline's history."""
    return f"history/{pipeline}"


async def load_history(store: StateStore, pipeline: str) -> History:
    """As it was saved last."""
    return read_history(await store.load_note(EVERYWHERE, note_of(pipeline)))


class Recorder:
    """Of one migration, for as long as its daemon runs. Nothing is seen or saved before it has begun."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._witnesses: dict[str, Witness] = {}
        self._unsaved = anyio.Event()

    @property
    def histories(self) -> dict[str, History]:
        """By pipeline, as they are now."""
        return {name: witness.history for name, witness in self._witnesses.items()}

    async def begin(self, pipelines: Mapping[str, object]) -> None:
        """Takes up what was saved of these."""
        for name in pipelines:
            witness = Witness(await load_history(self._store, name))
            witness.began(utc_now())
            self._witnesses[name] = witness

    def see(self, statuses: Mapping[str, PipelineStatus], rounds: Mapping[str, Round | None]) -> None:
        """All of them as they are now."""
        at = utc_now()
        happened = [self._witnesses[name].see(at, status, rounds[name]) for name, status in statuses.items()]
        if any(happened):
            self._unsaved.set()

    async def keep(self) -> None:
        """Saves at intervals, and when something has happened, until cancelled. Raises LeaseLostError."""
        while True:
            await self.save()
            with anyio.move_on_after(SAVE_INTERVAL_S):
                await self._unsaved.wait()

    async def save(self) -> None:
        """All of them. Raises LeaseLostError."""
        self._unsaved = anyio.Event()
        for name, witness in self._witnesses.items():
            await self._store.save_note(EVERYWHERE, note_of(name), write_history(witness.history))

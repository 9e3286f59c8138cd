"""Single keys taken through the guarded procedure while all else goes on: retries of dead letters, repairs, and what a
barrier is asked about.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic

from replicator.engine.applying import Applier
from replicator.engine.guards import Guards
from replicator.engine.placing import Placing
from replicator.engine.standing import Standing
from replicator.model import DeadLetter, R, Rejection, Retried
from replicator.ports import Source, StateStore
from replicator.telemetry import PipelineTelemetry

RETRY_ORIGIN = "retry"

REPAIR_ORIGIN = "repair"


def nobody(_: str) -> None:
    """Is told what is waited for, where nobody asks."""


class Mending(Generic[R]):
    """Mends keys of one pipeline. Meanwhile the stream's changes of these keys are guarded, and those that were being
    written have landed.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        applier: Applier[R],
        guards: Guards,
        standing: Standing,
        placing: Placing,
        store: StateStore,
        telemetry: PipelineTelemetry,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._applier = applier
        self._guards = guards
        self._standing = standing
        self._placing = placing
        self._store = store
        self._telemetry = telemetry

    async def retry(self, keys: Sequence[str]) -> Retried:
        """Takes the dead letters of these keys up again; keys that have none are left alone."""
        letters = await self._store.dead_letters_of(self._pipeline, keys)
        known = [letter.key for letter in letters]
        unknown = tuple(sorted(set(keys) - set(known)))
        if not known:
            return Retried(0, 0, unknown)
        if await self._source.redeliver(known):
            return Retried(0, len(letters), unknown)
        resolved = await self._mend_letters(RETRY_ORIGIN, known, letters)
        self._telemetry.log.info("dead letters taken up again", resolved=resolved, open=len(letters) - resolved)
        return Retried(resolved, len(letters) - resolved, unknown)

    async def repair(self, keys: Sequence[str]) -> None:
        """Makes the target equal to the source for these keys; what it refuses is a dead letter, as ever."""
        letters = await self._store.dead_letters_of(self._pipeline, keys)
        await self._mend_letters(REPAIR_ORIGIN, keys, letters)
        self._telemetry.log.info("differences repaired", keys=len(keys))

    async def mend(
        self, origin: str, since: Mapping[str, datetime | None], stage: Callable[[str], None] = nobody
    ) -> list[Rejection]:
        """Makes the target equal to the source for these keys, as `Applier.reconcile` does; returns what it refuses. It
        is under way from its call, which a seal waits for.

        No plain write of them is under way any more when it begins, and it is stored before that they are guarded from
        then on, so that nothing older is written after it, over a crash too. `stage` is told what is waited for.
        """
        keys = list(since)
        with self._applier.inflight.entered():
            self._guards.open(keys)
            try:
                stage("writes of this record that are under way")
                await self._standing.update(guarding=True)
                async with self._placing.whole():
                    await self._applier.inflight.drained(keys)
                stage("requests of unknown outcome to be over, the source to be read, or the target to be written")
                return await self._applier.reconcile(origin, since)
            finally:
                self._guards.close(keys)

    async def _mend_letters(self, origin: str, keys: Sequence[str], letters: Sequence[DeadLetter]) -> int:
        """Returns how many of these letters are resolved by it."""
        since = {**dict.fromkeys(keys), **{letter.key: letter.committed_at for letter in letters}}
        await self.mend(origin, since)
        return await self._store.resolve_dead_letters(letters)

"""What differs is doubted first: it counts only when neither side has changed once the lag has passed.

A doubt holds what the target showed and, read after it, what the source did. When everything committed until then is at
the target, and the target still is as it was, then the source's last change before that has not made it equal: it was
written before the target was looked at, and the target shows something else. So mere lag is never a difference. That
the target has come to what the source holds may show before, which is all a drain waits for.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Generic

import anyio

from replicator.engine.comparing import CHUNK, Pair, Sides
from replicator.engine.rounds import Doubt, Round, difference_of
from replicator.model import R
from replicator.ports import Source, StateStore

MOST_DOUBTS = 1000
"""Keys doubted at once; then reading waits."""

MOST_TRIES = 8
"""A key that has changed so often while it was doubted is unsettled."""


class Doubting(Generic[R]):
    """The doubts of one round. `through` is the watermark, `mend` the guarded procedure for keys."""

    def __init__(
        self,
        *,
        pipeline: str,
        round_: Round,
        source: Source[R],
        sides: Sides[R],
        store: StateStore,
        through: Callable[[], datetime | None],
        mend: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._pipeline = pipeline
        self._round = round_
        self._source = source
        self._sides = sides
        self._store = store
        self._through = through
        self._mend = mend
        self._lock = anyio.Lock()

    def has_room(self, readers: int) -> bool:
        """Whether so many can each bring as many more as are compared together."""
        return len(self._round.doubts) + readers * CHUNK <= MOST_DOUBTS

    async def doubt(self, keys: Sequence[str]) -> None:
        """These keys differed, looked at in whatever order: looks again, and remembers which still do."""
        if keys:
            async with self._lock:
                await self._look([key for key in keys if key not in self._round.doubts], mended=False)

    async def settle(self) -> None:
        """Looks again at a few of those of which all that was committed before is at the target by now. At once when
        somebody else is at it.
        """
        if self._lock.locked():
            return
        async with self._lock:
            await self._settle()

    async def look_early(self) -> None:
        """Drops those where the target has come to what the source holds, though more may still be on its way as far
        as is known: a bucket's notifications may be minutes late, and have come within seconds. All others wait.
        """
        async with self._lock:
            keys = list(self._round.doubts)
            for start in range(0, len(keys), CHUNK):
                for pair in await self._sides.of_keys(keys[start : start + CHUNK]):
                    doubt = self._round.doubts[pair.key]
                    if doubt.is_over(pair):
                        self._over(doubt)

    async def _settle(self) -> None:
        through, doubts = self._through(), self._round.doubts
        due = [key for key, doubt in doubts.items() if doubt.is_due(through)][:CHUNK]
        if not due:
            return
        pairs = await self._sides.of_keys(due)
        seen_at = self._source.clock.latest()
        confirmed: list[Pair] = []
        for pair in pairs:
            doubt = doubts[pair.key]
            if doubt.is_over(pair):
                self._over(doubt)
            elif doubt.is_unchanged(pair):
                confirmed.append(pair)
            else:
                self._again(doubt, pair, seen_at)
        await self._confirm(confirmed)

    async def _look(self, keys: Sequence[str], *, mended: bool) -> None:
        pairs = await self._sides.of_keys(keys)
        seen_at = self._source.clock.latest()
        for pair in pairs:
            doubt = Doubt(pair.key, seen_at, pair.expected, pair.version, pair.found, mended=mended)
            if pair.is_equal:
                self._over(doubt)
            else:
                self._round.doubts[pair.key] = doubt

    def _over(self, doubt: Doubt) -> None:
        self._round.doubts.pop(doubt.key, None)
        if doubt.mended:
            self._round.is_repaired(doubt.key)

    def _again(self, doubt: Doubt, pair: Pair, seen_at: datetime) -> None:
        """Something has changed meanwhile."""
        tries = doubt.tries + 1
        if tries < MOST_TRIES:
            self._round.doubts[pair.key] = Doubt(
                pair.key, seen_at, pair.expected, pair.version, pair.found, tries, doubt.mended
            )
            return
        del self._round.doubts[pair.key]
        if not doubt.mended:  # one that was mended counts as a difference until it is none
            self._round.is_unsettled(difference_of(pair, "unsettled"))

    async def _confirm(self, pairs: Sequence[Pair]) -> None:
        """These differ. With `repair` each is mended once, and looked at again at once."""
        if not pairs:
            return
        letters = await self._store.dead_letters_of(self._pipeline, [pair.key for pair in pairs])
        reasons = {letter.key: f"dead letter: {letter.reason}" for letter in letters}
        mendable: list[str] = []
        for pair in pairs:
            doubt = self._round.doubts.pop(pair.key)
            if not doubt.mended and self._round.differs(difference_of(pair, reason=reasons.get(pair.key, ""))):
                mendable.append(pair.key)
        if self._round.ask.repair and mendable:
            await self._mend(mendable)
            await self._look(mendable, mended=True)

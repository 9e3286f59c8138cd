"""Gathers what the page shows, once for all who look: their number costs the pipelines nothing."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from replicator.api.page.content import MOST_PIPELINES, content
from replicator.api.page.view import Protected, Refused, View
from replicator.clocks import elapsed_s
from replicator.config.models import MigrationConfig
from replicator.cutover import Cutover
from replicator.model import Action, LetterCount, Outcome
from replicator.report.model import Lag
from replicator.status import PipelineStatus

FRESH_S = 0.9
"""What was gathered is told to others for so long: less than the second between two snapshots."""

LETTERS_S = 5.0
MANY_LETTERS = 1000
MANY_LETTERS_S = 60.0
"""Reasons are counted at most so often, which the state store has to go through all open dead letters for."""

MOST_REFUSED = 50
MOST_ACTIONS = 20
ACTIONS_AT_ONCE = 1000


class Overlooked(Protocol):
    """What the page needs of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig
    statuses: dict[str, PipelineStatus]

    def cutover(self) -> Cutover: ...

    def recent_lag(self, pipeline: str) -> Lag: ...

    async def letter_counts(self, pipeline: str) -> list[LetterCount]: ...

    async def actions(self, limit: int, after: int) -> list[Action]: ...


class Letters:
    """Open dead letters by reason."""

    def __init__(self, daemon: Overlooked) -> None:
        self._daemon = daemon
        self._refused: list[Refused] = []
        self._seen: dict[str, int] | None = None
        self._counted_at = float("-inf")

    async def refused(self) -> list[Refused]:
        """The most frequent first. Counted anew when a number has changed, now and then."""
        now = {name: status.dead_letters for name, status in self._daemon.statuses.items() if status.dead_letters}
        wait_s = MANY_LETTERS_S if sum(now.values()) > MANY_LETTERS else LETTERS_S
        if now != self._seen and elapsed_s() - self._counted_at >= wait_s:
            self._refused = await self._count(list(now))
            self._seen, self._counted_at = now, elapsed_s()
        return self._refused

    async def _count(self, pipelines: list[str]) -> list[Refused]:
        found = [
            Refused(name, counted.reason, counted.count)
            for name in pipelines
            for counted in await self._daemon.letter_counts(name)
            if counted.outcome is Outcome.OPEN
        ]
        return sorted(found, key=lambda r: -r.count)[:MOST_REFUSED]


class Actions:
    """The latest actions. The log is read forward from where it was read to before: it may be long."""

    def __init__(self, daemon: Overlooked) -> None:
        self._daemon = daemon
        self._latest: deque[Action] = deque(maxlen=MOST_ACTIONS)
        self._place = 0

    async def latest(self) -> list[Action]:
        """Newest first."""
        more = True
        while more:
            read = await self._daemon.actions(ACTIONS_AT_ONCE, self._place)
            self._latest.extend(read)
            self._place = read[-1].place if read else self._place
            more = len(read) == ACTIONS_AT_ONCE
        return list(reversed(self._latest))


@dataclass(slots=True)
class Once:
    """Something made on demand, at most once in `FRESH_S`, however many ask for it at a time."""

    make: Callable[[], Awaitable[str]]
    _made: str = ""
    _made_at: float = float("-inf")
    _making: anyio.Lock = field(default_factory=anyio.Lock)

    async def get(self) -> str:
        """As it was made last, if that was just now."""
        async with self._making:
            if elapsed_s() - self._made_at >= FRESH_S:
                self._made = await self.make()
                self._made_at = elapsed_s()
            return self._made


class Gatherer:
    """Makes the content for each kind of reader."""

    def __init__(self, daemon: Overlooked) -> None:
        self._daemon = daemon
        self._letters = Letters(daemon)
        self._actions = Actions(daemon)
        self._made: dict[tuple[str, bool], Once] = {}
        self._protecting = anyio.Lock()

    async def content(self, locked: str, *, lags: bool) -> str:
        """The HTML. `locked` is empty for those who may see everything; without `lags` their pictures stay as told."""
        once = self._made.setdefault((locked, lags), Once(lambda: self._render(locked, lags=lags)))
        return await once.get()

    async def _render(self, locked: str, *, lags: bool) -> str:
        protected = None if locked else await self._protected()
        names = sorted(self._daemon.config.pipelines, key=self._needs_attention, reverse=True)
        shown = names[:MOST_PIPELINES]
        view = View(
            pipelines=names,
            statuses=self._daemon.statuses,
            judged=self._daemon.cutover(),
            lags={name: self._daemon.recent_lag(name) for name in shown} if lags else None,
            protected=protected,
            locked=locked,
        )
        return content(view)

    def _needs_attention(self, name: str) -> bool:
        """Those that do come first only where not all can be shown: nobody likes a page that moves."""
        status = self._daemon.statuses.get(name)
        is_crowded = len(self._daemon.config.pipelines) > MOST_PIPELINES
        return is_crowded and (status is None or bool(status.problems))

    async def _protected(self) -> Protected:
        async with self._protecting:
            return Protected(await self._letters.refused(), await self._actions.latest())

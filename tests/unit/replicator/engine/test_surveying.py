"""Promises of a round while its pipeline is paused: neither side is looked at, and nothing is mended or removed."""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import anyio

from fakes.virtual import in_virtual_time
from replicator.delivery import RateBudget
from replicator.engine.gate import Gate
from replicator.engine.rounds import Ask, Round
from replicator.engine.surveying import Surveying
from replicator.model import Barriers, Listed

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Doubts:
    """As many as there is room for, so that reading waits for them to be looked at again."""

    def __init__(self, *, full: bool) -> None:
        self.looks = 0
        self._full = full

    def has_room(self, _: int) -> bool:
        return not self._full

    async def settle(self) -> None:
        self.looks += 1

    async def doubt(self, _: Sequence[str]) -> None:
        """Nothing differs."""


class Target:
    """Shows these pages, each after a second."""

    def __init__(self, *pages: Listed) -> None:
        self.removed: list[str] = []
        self._pages = pages

    async def scan(self, _: str | None) -> AsyncGenerator[Listed, None]:
        for page in self._pages:
            await anyio.sleep(1)
            yield page

    async def remove_foreign(self, handles: Sequence[str]) -> None:
        self.removed += handles


class Source:
    barriers = Barriers.NOTHING
    clock = SimpleNamespace(latest=lambda: T0)

    async def missing(self, _: Sequence[str]) -> set[str]:
        return set()


def paused_at_once(doubts: Doubts, target: Target, script: Callable[[Gate], Any]) -> None:
    """Runs a round that repairs beside a script."""

    @in_virtual_time
    async def run() -> None:
        gate = Gate()
        surveying = Surveying[Any](
            round_=Round(T0, Ask(repair=True)), source=cast(Any, Source()), target=cast(Any, target),
            sides=cast(Any, None), doubting=cast(Any, doubts), budget=RateBudget(None), save=anyio.lowlevel.checkpoint,
            is_wanted=lambda: True, remove_foreign=True, gate=gate,
        )  # fmt: skip
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(surveying.run)
            await script(gate)
            tasks.cancel_scope.cancel()

    run()


def test_what_is_doubted_is_not_looked_at_again_while_it_is_paused() -> None:
    """There may be hundreds of them, each of them read at both sides and mended."""
    doubts = Doubts(full=True)

    async def script(gate: Gate) -> None:
        await anyio.sleep(10)
        gate.close()
        await anyio.sleep(1)
        looks = doubts.looks
        assert looks > 1
        await anyio.sleep(60)
        assert doubts.looks == looks
        gate.open()
        await anyio.sleep(10)
        assert doubts.looks > looks

    paused_at_once(doubts, Target(Listed(("k",), (), "p")), script)


def test_what_is_not_ours_is_not_removed_while_it_is_paused() -> None:
    """Also where a page of the target shows nothing else."""
    target = Target(Listed((), ("theirs",), "p", ("misplaced",)))

    async def script(gate: Gate) -> None:
        gate.close()
        await anyio.sleep(60)
        assert target.removed == []
        gate.open()
        await anyio.sleep(1)
        assert target.removed == ["misplaced", "theirs"]

    paused_at_once(Doubts(full=False), target, script)

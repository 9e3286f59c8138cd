"""The HTTP interface of a daemon that does nothing but keep dead letters, and commands that are run against it."""

import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import pytest
import structlog.testing
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from connectors.aws.budget import YieldingBudget
from fakes.memory import MemoryService, MemoryTarget
from fakes.scripted import ScriptedSource, ScriptedTable
from fakes.triggers import ScriptedTrigger, Thing
from replicator.api import (
    audit,
    barriers,
    beforehand,
    control,
    cutover,
    dead_letters,
    draining,
    page,
    report,
    switching,
    triggers,
    verification,
)
from replicator.api.access import Access
from replicator.api.app import create_app
from replicator.api.server import bind, serve, url_of
from replicator.cli import main
from replicator.clocks import elapsed_s, utc_now
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.cutover import Cutover, Watch
from replicator.cutover.switching import Switching
from replicator.delivery import AdaptiveLimiter, Delivery, Fence, RateBudget
from replicator.engine.barrier import SETTLED, Answer
from replicator.engine.control import Control
from replicator.engine.letters import Letters
from replicator.engine.pipeline import Pipeline
from replicator.engine.rounds import Ask, Note, Round
from replicator.engine.standing import Standing
from replicator.errors import ConfigurationError
from replicator.model import Action, DeadLetter, Discarded, LetterCount, Mode, Rejection, Retried
from replicator.naming import Naming
from replicator.ports import StateStore
from replicator.report import Evidence, Report
from replicator.report.beforehand import Beforehand
from replicator.report.gathering import Now, gather, recent_lag
from replicator.report.history import History
from replicator.report.model import Lag
from replicator.state.sqlite import SqliteStore
from replicator.status import NamedDrain, PipelineStatus
from replicator.telemetry import Metrics, PipelineTelemetry
from replicator.triggers.looking import Opened
from replicator.triggers.model import Place, Side
from replicator.triggers.triggers import Triggers

PIPELINES = ("orders", "customers")

LISTEN = "127.0.0.1:0"


def _config() -> MigrationConfig:
    pipeline = PipelineConfig(source=SourceConfig(type="none"), target=TargetConfig(type="none"))
    return MigrationConfig(migration="shop", pipelines=dict.fromkeys(PIPELINES, pipeline))


def controlled(pipeline: str, store: StateStore, read_units: float | None = 500.0) -> Control:
    """The control of a pipeline that does nothing."""
    fence = Fence(1.0)
    telemetry = PipelineTelemetry(Metrics(), pipeline)
    telemetry.log = structlog.testing.CapturingLogger()
    delivery = Delivery(
        limiter=AdaptiveLimiter(64), budget=RateBudget(None), fence=fence, timeout_s=1.0, telemetry=telemetry
    )
    source = ScriptedSource(ScriptedTable(random.Random(0)))
    source.budget = YieldingBudget(read_units) if read_units else None
    target = MemoryTarget(MemoryService(), delivery)
    control = Control(pipeline, source, delivery, Standing(pipeline, target, store, Mode.ASYNC), telemetry)
    control.take_up()
    return control


def fenced(in_the_way: Sequence[str] = (), *, released: bool = False) -> NamedDrain:
    """A drain, through where nothing is in its way."""
    now = utc_now()
    return NamedDrain(
        fence=now, released=released, drained_at=None if in_the_way else now, in_the_way=list(in_the_way), late=0,
        late_at=None, late_keys=[], under_way=[],
    )  # fmt: skip


@dataclass
class LetterDaemon:
    """Refuses the keys for which `refuses` says so again; `asked` holds the keys of each request."""

    store: SqliteStore
    config: MigrationConfig = field(default_factory=_config)
    statuses: dict[str, PipelineStatus] = field(default_factory=dict)
    refuses: Callable[[str], bool] = lambda _: False
    failed: Callable[[], bool] = lambda: False
    asked: list[list[str]] = field(default_factory=list)
    watch: Watch = field(default_factory=lambda: Watch(_config()))
    recorded: list[tuple[str, str, str]] = field(default_factory=list)
    naming: Naming = field(default_factory=Naming)
    note: Note = field(default_factory=Note)
    answer: Answer = SETTLED
    fences: dict[str, NamedDrain | None] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    things: dict[Place, Thing] = field(
        default_factory=lambda: {
            Place("stream", Side.AWS): Thing(None),
            Place("dns", Side.AWS): Thing("on", visible=False, text="Turn DNS"),
            Place("stream", Side.AZURE): Thing("off"),
        }
    )

    def __post_init__(self) -> None:
        self.controls = {name: controlled(name, self.store) for name in PIPELINES}
        self.switching = Switching(self, self.store, PIPELINES)
        self.beforehand = Beforehand(self.config, self.store, self.record, self.watch)
        opened = {
            place: Opened(ScriptedTrigger(place, thing, lambda _: None), "orders")
            for place, thing in self.things.items()
        }
        self._triggers = Triggers(opened, self.store, self.record)

    def triggers(self) -> Triggers:
        if self.failed():
            raise ConfigurationError("triggers", "have not begun yet", "Wait")
        return self._triggers

    @property
    def letters(self) -> Letters:
        return Letters(self.store, self.naming)

    def cutover(self) -> Cutover:
        self.watch.take(self.statuses, elapsed_s())
        return self.watch.judge()

    async def dead_letters(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]:
        return await self.letters.page(pipeline, limit, after)

    async def retry(self, pipeline: str, keys: Sequence[str]) -> Retried:
        if self.failed():
            raise ConfigurationError(f"pipelines.{pipeline}", "has failed", "Adopt")
        keys = list((await self.letters.keys(pipeline, keys)).values())
        self.asked.append(keys)
        letters = await self.store.dead_letters_of(pipeline, keys)
        refused = [letter.key for letter in letters if self.refuses(letter.key)]
        await self.store.add_dead_letters(pipeline, "retry", [Rejection(key, "still no") for key in refused])
        resolved = await self.store.resolve_dead_letters(letters)
        return Retried(resolved, len(letters) - resolved, tuple(k for k in keys if k not in {d.key for d in letters}))

    async def letter(self, pipeline: str, key: str) -> DeadLetter | None:
        keys = await self.letters.keys(pipeline, [key])
        return next(iter(await self.store.dead_letters_of(pipeline, list(keys.values()))), None)

    async def discard(self, pipeline: str, keys: Sequence[str]) -> Discarded:
        told = await self.letters.keys(pipeline, keys)
        letters = await self.store.dead_letters_of(pipeline, list(told.values()))
        closed = await self.store.discard_dead_letters(letters)
        known = {letter.key for letter in letters}
        return Discarded(closed, len(letters) - closed, tuple(n for n, key in told.items() if key not in known))

    async def letter_counts(self, pipeline: str) -> list[LetterCount]:
        return await self.store.count_letters(pipeline)

    def recent_lag(self, pipeline: str) -> Lag:
        return recent_lag(self.histories.get(pipeline) or History())

    async def report(self) -> Report:
        return await gather(self.config, self.store, Now(self.statuses, {}, None))

    def evidence(self) -> Evidence:
        raise ConfigurationError("report", "the migration is not sealed yet", "Seal it")

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None:
        self.recorded.append((name, pipeline, detail))
        await self.store.add_action(Action(utc_now(), actor, name, pipeline, detail))

    async def actions(self, limit: int, after: int) -> list[Action]:
        return await self.store.actions(limit, after)

    async def verify(self, pipelines: Sequence[str], ask: Ask) -> None:
        if self.failed():
            raise ConfigurationError(f"pipelines.{pipelines[0]}", "has failed", "Adopt")
        self.note.round = Round(began_at=utc_now(), ask=ask)

    def verifications(self) -> dict[str, tuple[Note, dict[str, int]]]:
        return {name: (self.note, {}) for name in PIPELINES}

    def drains(self) -> dict[str, NamedDrain | None]:
        return dict(self.fences)

    async def drain(self, pipelines: Sequence[str]) -> None:
        if self.failed():
            raise ConfigurationError(f"pipelines.{pipelines[0]}", "has failed", "Adopt")
        self.fences |= {name: fenced() for name in pipelines}

    async def release(self, pipelines: Sequence[str]) -> None:
        self.fences |= {name: fenced(released=True) for name in pipelines}

    def sealed(self) -> list[str]:
        return []

    async def seal(self, pipelines: Sequence[str], *, force: bool) -> None:
        if not (force or self.fences):
            raise ConfigurationError(f"pipelines.{pipelines[0]}", "is not drained", "Drain it first")
        self.fences |= {name: fenced() for name in pipelines}

    async def flushed(self, pipelines: Sequence[str]) -> None:
        """Nothing is under way."""

    async def quiet(self, pipelines: Sequence[str]) -> None:
        """Nothing is under way."""

    async def follow_again(self, pipelines: Sequence[str]) -> None:
        self.fences |= dict.fromkeys(pipelines)

    def pipelines(self) -> dict[str, Pipeline[Any]]:
        return {}

    async def wait(self, pipeline: str, keys: Sequence[str], timeout_s: float) -> Answer:
        return self.answer

    def control(self, pipeline: str) -> Control:
        if self.failed():
            raise ConfigurationError(f"pipelines.{pipeline}", "has failed", "Adopt")
        return self.controls[pipeline]


@dataclass
class Served:
    """The daemon, where it is, and what a command line prints. It lives in a thread of its own, with `portal`."""

    daemon: LetterDaemon
    url: str
    portal: BlockingPortal
    capsys: pytest.CaptureFixture[str]

    def replicator(self, *arguments: str, expect: int = 0) -> str:
        """What a command says on standard output; it must end with the expected exit code."""
        return self.said(*arguments, expect=expect)[0]

    def said(self, *arguments: str, expect: int = 0) -> tuple[str, str]:
        """Standard output and standard error."""
        code = run_command(*arguments, "--url", self.url)
        output, error = self.capsys.readouterr()
        assert code == expect, output + error
        return output, error

    def refuse(self, pipeline: str, keys: list[str], reason: str = "too large") -> None:
        """Opens dead letters."""
        rejections = [Rejection(key, reason) for key in keys]
        self.portal.call(self.daemon.store.add_dead_letters, pipeline, "p", rejections)

    def left(self, pipeline: str) -> set[str]:
        """The keys that have one."""
        letters = self.portal.call(self.daemon.store.dead_letters, pipeline, 100_000)
        return {letter.key for letter in letters}


@contextmanager
def served(folder: Path, capsys: pytest.CaptureFixture[str], token: str | None = None) -> Iterator[Served]:
    """Up until it is left. Its state is in `state.sqlite`."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_serving(folder, token)) as (daemon, url):
        yield Served(daemon, url, portal, capsys)


def run_command(*arguments: str) -> int:
    """The exit code of a command line, run in this process."""
    with patch.object(sys, "argv", ["replicator", *arguments]), pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@asynccontextmanager
async def _serving(folder: Path, token: str | None) -> AsyncIterator[tuple[LetterDaemon, str]]:
    with bind(LISTEN) as listening:
        async with SqliteStore(folder / "state.sqlite") as store, anyio.create_task_group() as tasks:
            await store.migration_id()  # minted by the time a daemon has begun
            daemon = LetterDaemon(store)
            access = Access(SecretStr(token) if token else None)
            topics: Sequence[Any] = (
                dead_letters, audit, control, verification, barriers, draining, report, triggers, switching,
                beforehand, page,
            )  # fmt: skip
            routers = [topic.router(daemon, access) for topic in topics]
            app = create_app(daemon, CollectorRegistry(), *routers, cutover.router(daemon))
            tasks.start_soon(serve, app, listening)
            yield daemon, url_of(listening)
            tasks.cancel_scope.cancel()

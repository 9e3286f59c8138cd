"""The HTTP interface of a daemon that does nothing but keep dead letters, and commands that are run against it."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prometheus_client import CollectorRegistry

from replicator.api import cutover, dead_letters
from replicator.api.access import Access
from replicator.api.app import create_app
from replicator.api.server import bind, serve, url_of
from replicator.cli import main
from replicator.clocks import elapsed_s
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.cutover import Cutover, Watch
from replicator.errors import ConfigurationError
from replicator.model import DeadLetter, Rejection, Retried
from replicator.state.sqlite import SqliteStore
from replicator.status import PipelineStatus

PIPELINES = ("orders", "customers")


def _config() -> MigrationConfig:
    pipeline = PipelineConfig(source=SourceConfig(type="none"), target=TargetConfig(type="none"))
    return MigrationConfig(migration="shop", pipelines=dict.fromkeys(PIPELINES, pipeline))


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

    def cutover(self) -> Cutover:
        self.watch.take(self.statuses, elapsed_s())
        return self.watch.judge()

    async def dead_letters(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]:
        return await self.store.dead_letters(pipeline, limit, after)

    async def retry(self, pipeline: str, keys: Sequence[str]) -> Retried:
        if self.failed():
            raise ConfigurationError(f"pipelines.{pipeline}", "has failed", "Adopt")
        self.asked.append(list(keys))
        letters = await self.store.dead_letters_of(pipeline, keys)
        refused = [letter.key for letter in letters if self.refuses(letter.key)]
        await self.store.add_dead_letters(pipeline, "retry", [Rejection(key, "still no") for key in refused])
        resolved = await self.store.resolve_dead_letters(letters)
        return Retried(resolved, len(letters) - resolved, tuple(k for k in keys if k not in {d.key for d in letters}))

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None:
        self.recorded.append((name, pipeline, detail))


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
def served(folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    """Up until it is left."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_serving(folder)) as (daemon, url):
        yield Served(daemon, url, portal, capsys)


def run_command(*arguments: str) -> int:
    """The exit code of a command line, run in this process."""
    with patch.object(sys, "argv", ["replicator", *arguments]), pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[tuple[LetterDaemon, str]]:
    with bind("127.0.0.1:0") as listening:
        async with SqliteStore(folder / "state.sqlite") as store, anyio.create_task_group() as tasks:
            daemon = LetterDaemon(store)
            routes = dead_letters.router(daemon, Access(None))
            app = create_app(daemon, CollectorRegistry(), routes, cutover.router(daemon))
            tasks.start_soon(serve, app, listening)
            yield daemon, url_of(listening)
            tasks.cancel_scope.cancel()

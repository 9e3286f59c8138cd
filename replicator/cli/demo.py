"""`replicator demo`: the main job from end to end on local clouds, with a real daemon and a verdict."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import anyio
import typer

from connectors import registry
from replicator.cli.demo_daemon import DemoDaemon
from replicator.cli.invocation import own_command
from replicator.cli.looking import look_at
from replicator.cli.sandbox import LocalClouds, local_clouds
from replicator.cli.services import Service
from replicator.cli.views import View, open_view
from replicator.config.loading import load_config
from replicator.engine.comparing import Comparing, Comparison
from replicator.engine.daemon import connect
from replicator.errors import ConfigurationError
from replicator.status import PipelineStatus
from replicator.telemetry import configure_logging
from replicator.wording import counted
from sandbox.processes import Program, replicator_program
from sandbox.workload import Writer, create_orders_table, seed

FOLDER = Path(".demo")
LOG = FOLDER / "daemon.log"
LEFT_BEHIND = ("migration.yaml", "state.sqlite*", "*.log", "*.pem")
PIPELINE = "orders"
LONGEST_CATCH_UP_S = 120.0

CONFIG = """\
# Written by `replicator demo`. Credentials come from the environment.
migration: demo
state:
  path: state.sqlite
http:
  listen: 127.0.0.1:0
log:
  format: json
limits: # local clouds answer at once; the defaults suit real ones
  request_timeout_s: 2
  request_lifetime_s: 3
  lease_s: 6
pipelines:
  orders:
    discover_interval_s: 5
    source:
      type: dynamodb
      table: orders
      endpoint: {aws_endpoint}
      max_read_units: 2000
      idle_margin_s: 1
    target:
      type: cosmos
      endpoint: {cosmos_endpoint}
      key: ${{COSMOS_KEY}}
      database: shop
      container: orders
      partition_key: [/customer]
      create: true
"""


def run_demo(*, items: int, rate_per_s: float, seconds: float, as_json: bool, keep_running: bool) -> bool:
    """True when it has caught up and both sides were equal at the end."""
    configure_logging(as_json=True, level="error")
    demo = Demo(items=items, rate_per_s=rate_per_s, seconds=seconds, keep_running=keep_running)
    with room(), open_view(to_stderr=as_json) as view:
        outcome = anyio.run(demo.run, view)
    if as_json:
        typer.echo(json.dumps(outcome.as_json()))
    return outcome.is_good


@contextmanager
def room() -> Iterator[None]:
    """The folder, ours alone meanwhile: what an earlier run has left is removed, and nothing else."""
    with _writable():
        FOLDER.mkdir(exist_ok=True)
        lock = (FOLDER / "lock").open("w")
    with lock:
        with _writable():
            _lock(lock)
            for pattern in LEFT_BEHIND:
                for old in FOLDER.glob(pattern):
                    old.unlink()
        yield


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(str(FOLDER), f"cannot be written ({error})", "Go to another folder") from error


def _lock(file: TextIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(
            str(FOLDER), "another demo is running in this folder", "Wait for its end, or go to another folder"
        ) from None


@dataclass(frozen=True, slots=True)
class Followed:
    """How the daemon kept up with `writes` changes: whether it caught up, after how long, and its last status."""

    writes: int
    caught_up: bool
    catch_up_s: float
    last: PipelineStatus | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went."""

    followed: Followed
    peak_resident_bytes: int
    found: Comparison

    @property
    def is_good(self) -> bool:
        """Whether the daemon has done its job; the sides may be equal by chance before it has."""
        return self.followed.caught_up and self.found.is_equal

    @property
    def verdict(self) -> list[str]:
        """For people."""
        found = self.found
        same = counted(found.equal, "record is", "records are")
        speed = f"Caught up in {self.followed.catch_up_s:.1f} s"
        if not self.followed.caught_up:
            speed = f"NOT CAUGHT UP within {LONGEST_CATCH_UP_S:g} s; the log is {LOG}"
        first = (
            f"{'EQUAL' if found.is_equal else 'NOT EQUAL'}: {same} the same on both sides; {found.different} "
            f"different, {found.missing} missing, {found.extra} extra, {found.foreign} foreign. "
            f"{speed}, daemon at most {self.peak_resident_bytes / 1e6:.0f} MB"
        )
        return [first, *(f"  {line}" for line in found.named)]

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        last = self.followed.last
        return {
            "equal": self.found.is_equal,
            "caught_up": self.followed.caught_up,
            "peak_resident_bytes": self.peak_resident_bytes,
            "pipelines": {
                PIPELINE: {
                    **asdict(self.found),
                    "writes": self.followed.writes,
                    **{name: getattr(last, name, None) for name in ("copied", "applied", "dead_letters")},
                    "catch_up_s": round(self.followed.catch_up_s, 2),
                }
            },
        }


class Demo:
    """One run of the demo, in the folder `.demo`."""

    def __init__(self, *, items: int, rate_per_s: float, seconds: float, keep_running: bool) -> None:
        self._items = items
        self._rate_per_s = rate_per_s
        self._seconds = seconds
        self._keep_running = keep_running
        self._path = FOLDER / "migration.yaml"

    async def run(self, view: View) -> Outcome:
        """Everything, from empty clouds to the verdict."""
        async with local_clouds(FOLDER, without={Service.BLOB, Service.SERVICEBUS}) as clouds:
            os.environ.update(clouds.environment)  # both the daemon and the comparison take credentials from there
            self._path.write_text(
                CONFIG.format(aws_endpoint=clouds.aws.endpoint, cosmos_endpoint=clouds.cosmos_endpoint)
            )
            view.say(f"config: {self._path}")
            async with clouds.aws.client("dynamodb") as client:
                await self._fill(client, view)
                async with replicator_program(LOG, "run", str(self._path)) as program:
                    return await self._migrate(client, clouds, program, view)

    async def _fill(self, client: Any, view: View) -> None:
        started = time.monotonic()
        await create_orders_table(client, PIPELINE, ttl_attribute="expires_at")
        count = await seed(client, PIPELINE, self._items)
        view.say(f"seeded {counted(count, 'item')} of every DynamoDB type in {time.monotonic() - started:.1f} s")

    async def _migrate(self, client: Any, clouds: LocalClouds, program: Program, view: View) -> Outcome:
        daemon = await DemoDaemon.answering(program)
        view.say(f"daemon: {daemon.url}/v1/status, log {program.log}")
        followed = await self._follow(client, daemon, view)
        outcome = Outcome(followed, program.peak_resident_bytes(), await self._compare(view))
        for line in outcome.verdict:
            view.say(line)
        if self._keep_running:
            await _linger(clouds, daemon.url, view)
        return outcome

    async def _follow(self, client: Any, daemon: DemoDaemon, view: View) -> Followed:
        """Writes for a while, and waits until all of it is at the target."""
        writer = Writer(client, PIPELINE, space="live", rate_per_s=self._rate_per_s)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.watch, view)
            await writer.run(for_s=self._seconds)
            await writer.confirm()
            writes, stopped = writer.counts.operations, time.monotonic()
            view.say(f"the writer has stopped after {counted(writes, 'write')}; catching up")
            caught_up, last = await daemon.catch_up(PIPELINE, datetime.now(UTC), LONGEST_CATCH_UP_S)
            tasks.cancel_scope.cancel()
        return Followed(writes, caught_up, time.monotonic() - stopped, last)

    async def _compare(self, view: View) -> Comparison:
        view.say("comparing every item both ways")
        config = load_config(self._path, registry())
        async with look_at(PIPELINE, config.pipelines[PIPELINE], config) as pipeline:
            await connect(pipeline)
            return await Comparing(pipeline.source, pipeline.target, lambda _: None).run()


async def _linger(clouds: LocalClouds, url: str, view: View) -> None:
    view.say("left running until interrupted; to look at it:")
    for line in ways_to_look(clouds, url):
        view.say(f"  {line}")
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            return


def ways_to_look(clouds: LocalClouds, url: str) -> list[str]:
    """Commands that work in another shell as they are, and where the target is."""
    aws = " ".join(f"{name}={value}" for name, value in clouds.aws.environment.items())
    return [
        f"{own_command()} status --watch --url {url}",
        f"{aws} aws dynamodb scan --table-name {PIPELINE} --endpoint-url {clouds.aws.endpoint}",
        f"Cosmos DB at {clouds.cosmos_endpoint}, database shop, container orders, key {clouds.cosmos_key}",
    ]

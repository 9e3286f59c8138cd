"""`replicator demo`: the main job from end to end on local clouds, with a real daemon and a verdict."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import anyio
import anyio.to_thread
import typer
from aiobotocore.session import AioSession

from connectors import registry
from replicator.cli.looking import look_at
from replicator.cli.sandbox import LocalClouds, local_clouds
from replicator.cli.status import fetch
from replicator.cli.views import View, open_view
from replicator.config.loading import load_config
from replicator.engine.comparing import Comparing, Comparison
from replicator.engine.daemon import connect
from replicator.errors import ConfigurationError
from replicator.model import CopyStage
from replicator.status import MigrationStatus, PipelineStatus
from replicator.telemetry import configure_logging
from replicator.wording import counted
from sandbox.processes import Program, ProgramError, replicator_program
from sandbox.workload import Writer, create_orders_table, seed

FOLDER = Path(".demo")
LEFT_BEHIND = ("migration.yaml", "state.sqlite*", "*.log")
PIPELINE = "orders"
LONGEST_CATCH_UP_S = 120.0
POLL_S = 0.25

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
    """True when both sides were equal at the end."""
    configure_logging(as_json=True, level="error")
    demo = Demo(items=items, rate_per_s=rate_per_s, seconds=seconds, keep_running=keep_running)
    with room(), open_view(to_stderr=as_json) as view:
        outcome = anyio.run(demo.run, view)
    if as_json:
        typer.echo(json.dumps(outcome))
    return bool(outcome["equal"])


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


class Demo:
    """One run of the demo, in the folder `.demo`."""

    def __init__(self, *, items: int, rate_per_s: float, seconds: float, keep_running: bool) -> None:
        self._items = items
        self._rate_per_s = rate_per_s
        self._seconds = seconds
        self._keep_running = keep_running
        self._path = FOLDER / "migration.yaml"

    async def run(self, view: View) -> dict[str, Any]:
        """What `--json` prints."""
        async with local_clouds(FOLDER) as clouds:
            os.environ.update(clouds.environment)  # both the daemon and the comparison take credentials from there
            self._path.write_text(
                CONFIG.format(aws_endpoint=clouds.aws_endpoint, cosmos_endpoint=clouds.cosmos_endpoint)
            )
            view.say(f"config: {self._path}")
            async with _dynamodb(clouds) as client:
                await self._fill(client, view)
                async with replicator_program(FOLDER / "daemon.log", "run", str(self._path)) as daemon:
                    outcome = await self._migrate(client, clouds, daemon, view)
        return outcome

    async def _fill(self, client: Any, view: View) -> None:
        started = time.monotonic()
        await create_orders_table(client, PIPELINE, ttl_attribute="expires_at")
        count = await seed(client, PIPELINE, self._items)
        view.say(f"seeded {counted(count, 'item')} of every DynamoDB type in {time.monotonic() - started:.1f} s")

    async def _migrate(self, client: Any, clouds: LocalClouds, daemon: Program, view: View) -> dict[str, Any]:
        url = await _url(daemon)
        view.say(f"daemon: {url}/v1/status, log {daemon.log}")
        writer = Writer(client, PIPELINE, space="live", rate_per_s=self._rate_per_s)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, url, view)
            await writer.run(for_s=self._seconds)
            await writer.confirm()
            stopped = time.monotonic()
            view.say(f"the writer has stopped after {counted(writer.counts.operations, 'write')}; catching up")
            last = await _caught_up(url, datetime.now(UTC), view)
            catch_up_s = time.monotonic() - stopped
            tasks.cancel_scope.cancel()
        peak_bytes = daemon.peak_resident_bytes()
        found = await self._compare(view)
        _pronounce(found, catch_up_s, peak_bytes, view)
        if self._keep_running:
            await _linger(clouds, url, view)
        return {
            "equal": found.is_equal,
            "peak_resident_bytes": peak_bytes,
            "pipelines": {
                PIPELINE: {
                    **asdict(found),
                    "writes": writer.counts.operations,
                    "copied": last.copied if last else None,
                    "applied": last.applied if last else None,
                    "dead_letters": last.dead_letters if last else None,
                    "catch_up_s": round(catch_up_s, 2),
                }
            },
        }

    async def _compare(self, view: View) -> Comparison:
        view.say("comparing every item both ways")
        config = load_config(self._path, registry())
        async with look_at(PIPELINE, config.pipelines[PIPELINE], config) as pipeline:
            await connect(pipeline)
            return await Comparing(pipeline.source, pipeline.target, lambda _: None).run()


def _dynamodb(clouds: LocalClouds) -> Any:
    return AioSession().create_client(
        "dynamodb",
        endpoint_url=clouds.aws_endpoint,
        region_name=clouds.aws_region,
        aws_access_key_id=clouds.aws_access_key,
        aws_secret_access_key=clouds.aws_secret_key,
    )


async def _url(daemon: Program) -> str:
    """Where a daemon that was started is, once it says so."""
    try:
        return str(json.loads(await daemon.line('"http interface"'))["url"])
    except ProgramError as error:
        raise ConfigurationError("demo", "the daemon does not start", f"Its log is {daemon.log}") from error


async def _status(url: str) -> MigrationStatus:
    try:
        return await anyio.to_thread.run_sync(fetch, url)
    except ConfigurationError as error:
        raise ConfigurationError("demo", f"the daemon is gone ({error.problem})", f"Its log is in {FOLDER}") from error


async def _watch(url: str, view: View) -> None:
    while True:
        view.show(await _status(url))
        await anyio.sleep(POLL_S)


async def _caught_up(url: str, moment: datetime, view: View) -> PipelineStatus | None:
    """The status once everything committed before `moment` is through and the copy's traces are gone.

    If that takes too long, the last one, None if there was none: the comparison will tell what is missing.
    """
    pipeline: PipelineStatus | None = None
    with anyio.move_on_after(LONGEST_CATCH_UP_S):
        while True:
            pipeline = (await _status(url)).pipelines.get(PIPELINE)
            through = pipeline.replicated_through if pipeline else None
            if pipeline and through and through > moment and pipeline.copy_stage == CopyStage.SWEPT:
                return pipeline
            await anyio.sleep(POLL_S)
    view.say(f"it has not caught up within {LONGEST_CATCH_UP_S:g} s")
    return pipeline


def _pronounce(found: Comparison, catch_up_s: float, peak_bytes: int, view: View) -> None:
    verdict = "EQUAL" if found.is_equal else "NOT EQUAL"
    same = counted(found.equal, "record is", "records are")
    view.say(
        f"{verdict}: {same} the same on both sides; {found.different} different, {found.missing} missing, "
        f"{found.extra} extra, {found.foreign} foreign. "
        f"Caught up in {catch_up_s:.1f} s, daemon at most {peak_bytes / 1e6:.0f} MB"
    )
    for line in found.named:
        view.say(f"  {line}")


async def _linger(clouds: LocalClouds, url: str, view: View) -> None:
    view.say("left running until interrupted; to look at it:")
    view.say(f"  replicator status --watch --url {url}")
    view.say(f"  aws dynamodb scan --table-name {PIPELINE} --endpoint-url {clouds.aws_endpoint}")
    view.say(f"  Cosmos DB at {clouds.cosmos_endpoint}, database shop, container orders, key {clouds.cosmos_key}")
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            return

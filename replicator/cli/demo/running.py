"""One run of the demo, in the folder `.demo`: from empty clouds to the verdict."""

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import typer

from connectors import registry
from replicator.cli.demo.bucket import open_bucket
from replicator.cli.demo.daemon import DemoDaemon, Followed
from replicator.cli.demo.lingering import linger
from replicator.cli.demo.outcome import Migrated, Outcome
from replicator.cli.demo.queue import open_queue
from replicator.cli.demo.room import CONFIG, FOLDER, LOG, room
from replicator.cli.demo.table import open_table
from replicator.cli.demo.workload import Compared, Load, Workload
from replicator.cli.sandbox import LocalClouds, local_clouds
from replicator.cli.views import View, open_view
from replicator.config.loading import load_config
from replicator.telemetry import configure_logging
from replicator.wording import counted
from sandbox.processes import Program, replicator_program

LONGEST_CATCH_UP_S = 120.0

HEAD = """\
# Written by replicator. Credentials come from the environment.
migration: demo
state:
  path: state.sqlite
http:
  listen: {listen}
log:
  format: json
cutover:
  rehearsal:
    is_rehearsal: true
limits: # local clouds answer at once; the defaults suit real ones
  request_timeout_s: 4
  request_lifetime_s: 5
  lease_s: 8
pipelines:
"""


def run_demo(
    *,
    items: int,
    objects: int,
    messages: int,
    rate_per_s: float,
    seconds: float,
    large_bytes: int,
    as_json: bool,
    keep_running: bool,
) -> bool:
    """True when it has caught up and all sides were equal at the end."""
    configure_logging(as_json=True, level="error")
    demo = Demo(Load(items, objects, messages, rate_per_s, seconds, large_bytes), keep_running=keep_running)
    with room(), open_view(to_stderr=as_json) as view:
        outcome = anyio.run(demo.run, view)
    if as_json:
        typer.echo(json.dumps(outcome.as_json()))
    return outcome.is_good


@asynccontextmanager
async def open_workloads(clouds: LocalClouds, load: Load) -> AsyncIterator[tuple[Workload, ...]]:
    """What is migrated, made but empty."""
    async with AsyncExitStack() as stack:
        dynamodb, s3, sqs = [
            await stack.enter_async_context(clouds.aws.client(service)) for service in ("dynamodb", "s3", "sqs")
        ]
        yield (
            await open_table(clouds, dynamodb, load),
            await open_bucket(clouds, s3, sqs, load),
            await open_queue("payments.fifo", clouds, sqs, load),
            await open_queue("emails", clouds, sqs, load),
        )


def config_of(workloads: Sequence[Workload], *, listen: str) -> str:
    """The config that migrates all of them, served at `listen`; the state store is beside it."""
    return HEAD.format(listen=listen) + "".join(workload.config for workload in workloads)


class Demo:
    """See `run`."""

    def __init__(self, load: Load, *, keep_running: bool) -> None:
        self._load = load
        self._keep_running = keep_running

    async def run(self, view: View) -> Outcome:
        """Everything, from empty clouds to the verdict."""
        view.say("starting local clouds; Azurite is installed on first use")
        async with AsyncExitStack() as stack:
            clouds = await stack.enter_async_context(local_clouds(FOLDER))
            os.environ.update(clouds.environment)  # both the daemon and the comparison take credentials from there
            workloads = await stack.enter_async_context(open_workloads(clouds, self._load))
            CONFIG.write_text(config_of(workloads, listen="127.0.0.1:0"))
            view.say(f"config: {CONFIG}")
            await together(workloads, lambda workload: _fill(workload, view))
            program = await stack.enter_async_context(replicator_program(LOG, "run", str(CONFIG)))
            daemon = await DemoDaemon.answering(program)
            view.say(f"daemon: {daemon.url}/v1/status, log {program.log}")
            outcome = await self._migrate(workloads, daemon, program, view)
            for line in outcome.verdict:
                view.say(line)
            if self._keep_running:
                await linger(clouds, daemon.url, view)
            return outcome

    async def _migrate(
        self, workloads: Sequence[Workload], daemon: DemoDaemon, program: Program, view: View
    ) -> Outcome:
        followed = await self._follow(workloads, daemon, view)
        peak = program.peak_resident_bytes()
        view.say("comparing everything, both ways")
        found = await _compare(workloads)
        return Outcome({w.name: Migrated(w.writes, followed[w.name], found[w.name]) for w in workloads}, peak)

    async def _follow(self, workloads: Sequence[Workload], daemon: DemoDaemon, view: View) -> dict[str, Followed]:
        """Writes for a while, and waits until all of it is at the targets."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.watch, view)
            await together(workloads, lambda workload: workload.write(self._load.seconds))
            await together(workloads, lambda workload: workload.confirm())
            writes = sum(workload.writes for workload in workloads)
            view.say(f"the writers have stopped after {counted(writes, 'write')}; catching up")
            waiting = {workload.name: workload.waiting for workload in workloads}
            followed = await daemon.catch_up(waiting, datetime.now(UTC), LONGEST_CATCH_UP_S)
            tasks.cancel_scope.cancel()
        return followed


async def _fill(workload: Workload, view: View) -> None:
    started = time.monotonic()
    held = await workload.fill()
    view.say(f"{workload.name}: seeded {held} in {time.monotonic() - started:.1f} s")


async def _compare(workloads: Sequence[Workload]) -> Mapping[str, Compared]:
    config = load_config(CONFIG, registry())
    found: dict[str, Compared] = {}

    async def compare(workload: Workload) -> None:
        found[workload.name] = await workload.compare(config)

    await together(workloads, compare)
    return found


async def together(workloads: Sequence[Workload], do: Callable[[Workload], Coroutine[Any, Any, object]]) -> None:
    """For all of them at the same time."""
    async with anyio.create_task_group() as tasks:
        for workload in workloads:
            tasks.start_soon(do, workload)

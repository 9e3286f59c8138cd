"""Promises of the production image as a daemon: nobody in particular, read-only, the first process, ended by SIGTERM at
any moment, and gone on with where it was. The clouds are outside of it, on loopback of the machine.
"""

from __future__ import annotations

import random
import socket
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import yaml
from image.boxes import STATE, STOP_WITHIN_S, box, events, printed, volume

from connectors import registry
from replicator.cli.demo.running import config_of, open_workloads, together
from replicator.cli.demo.workload import Load, Workload
from replicator.cli.sandbox import LocalClouds, local_clouds
from replicator.cli.status import fetch
from replicator.config.loading import parse_config
from replicator.errors import ConfigurationError
from replicator.model import CopyStage
from replicator.status import MigrationStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LOAD = Load(items=1_500, objects=40, messages=50, rate_per_s=50, seconds=20, large_bytes=8_000_000)
INSIDE = "/etc/replicator/migration.yaml"
MOUNTED = {"/etc", "/etc/replicator", INSIDE}
EACH_SECOND = {"interval": 1_000_000_000}
"""The image's own health check, only more often."""

DEADLINE_S = 200
DRAIN_DEADLINE_S = 25
TERMINATED = 143
PROGRAM = b"/opt/replicator/bin/replicator"


def quiet_port() -> int:
    """A port of loopback that nobody listens on, below those that the kernel gives to connections: between now and the
    daemon's start, and the next one's, thousands are opened.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Daemons:
    """Containers of the production image, one after another, on the same config and state."""

    def __init__(self, engine: Any, image: Any, config: Path, state: Any, clouds: LocalClouds, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._engine = engine
        self._image = image
        self._options: dict[str, Any] = {
            "network_mode": "host",
            "environment": {**clouds.environment, "REPLICATOR_URL": self.url},
            "healthcheck": EACH_SECOND,
            "volumes": {str(config): {"bind": INSIDE, "mode": "ro"}, state.name: {"bind": STATE, "mode": "rw"}},
        }

    @contextmanager
    def one(self, *command: str) -> Iterator[Any]:
        """Running; without a command, as the image does by itself."""
        with box(self._engine, self._image, list(command), **self._options) as container:
            yield container

    async def until(self, holds: Callable[[MigrationStatus], bool]) -> MigrationStatus:
        """The first status for which that holds."""
        last: MigrationStatus | None = None
        with anyio.move_on_after(DEADLINE_S):
            while True:
                try:
                    last = await anyio.to_thread.run_sync(fetch, self.url)
                    if last.pipelines and holds(last):
                        return last
                except ConfigurationError:
                    pass  # it is still starting
                await anyio.sleep(0.2)
        raise AssertionError(f"not reached within {DEADLINE_S} s: {last}")


async def healthy(container: Any) -> None:
    """Once its health check says so."""
    with anyio.move_on_after(60):
        while True:
            await anyio.to_thread.run_sync(container.reload)
            if container.attrs["State"]["Health"]["Status"] == "healthy":
                return
            if not container.attrs["State"]["Running"]:
                break
            await anyio.sleep(0.2)
    raise AssertionError(f"{container.attrs['State']}: {printed(container)}")


async def stopped(container: Any) -> tuple[int, float]:
    """Its exit code, and how many seconds it took after SIGTERM."""
    began = time.monotonic()
    await anyio.to_thread.run_sync(partial(container.stop, timeout=STOP_WITHIN_S))
    return int(container.wait()["StatusCode"]), time.monotonic() - began


def is_through(status: MigrationStatus, moment: datetime) -> bool:
    """Whether everything committed before is at the targets, and the copy is done with."""
    return all(
        one.copy_stage == CopyStage.SWEPT and one.replicated_through is not None and one.replicated_through > moment
        for one in status.pipelines.values()
    )


def write_config(path: Path, workloads: Sequence[Workload], port: int) -> str:
    """As docs/image.md says: the state is in the volume. Who runs the container is nobody here, and must read it."""
    config = yaml.safe_load(config_of(workloads, listen=f"127.0.0.1:{port}"))
    config["state"] = {"path": f"{STATE}/replicator.sqlite"}
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o644)
    return path.read_text()


async def test_it_is_stopped_and_goes_on_until_both_sides_are_equal(
    engine: Any, production: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = quiet_port()
    path = tmp_path / "migration.yaml"
    async with local_clouds(tmp_path) as clouds, open_workloads(clouds, LOAD) as workloads:
        await together(workloads, lambda workload: workload.fill())
        text = write_config(path, workloads, port)
        with volume(engine) as state:
            daemons = Daemons(engine, production, path, state, clouds, port)
            await stop_and_go_on(daemons, workloads)
        for name, value in clouds.environment.items():
            monkeypatch.setenv(name, value)  # the comparison finds its credentials as a daemon does
        config = parse_config(text, registry(), clouds.environment)
        found = {workload.name: await workload.compare(config) for workload in workloads}
    assert {name: compared.verdict for name, compared in found.items() if not compared.is_equal} == {}
    assert len(found) == 4


async def stop_and_go_on(daemons: Daemons, workloads: Sequence[Workload]) -> None:
    """Stopped while it copies and is written to; the next one has everything that is left."""
    with ExitStack() as stack:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(together, workloads, lambda workload: workload.write(LOAD.seconds))
            before = await run_and_stop(daemons)
            second = stack.enter_context(daemons.one())
            await daemons.until(lambda status: status.pipelines["orders"].applied > 0)
            await ended_as_first_process(daemons)
        await together(workloads, lambda workload: workload.confirm())
        after = await arrived(daemons, workloads)
        assert {one.epoch for one in (*before.pipelines.values(), *after.pipelines.values())} == {1}, "begun anew"
        assert {one.dead_letters for one in after.pipelines.values()} == {0}
        code, _ = await stopped(second)
        assert code == 0


async def run_and_stop(daemons: Daemons) -> MigrationStatus:
    """The status before it was stopped in the middle of everything, which it has obeyed in an orderly way."""
    with daemons.one() as first:
        await healthy(first)
        before = await daemons.until(lambda status: status.pipelines["orders"].applied > 100)
        assert first.exec_run(["cat", "/proc/1/cmdline"]).output.split(b"\0")[1] == PROGRAM
        code, took_s = await stopped(first)
        assert code == 0
        assert took_s < DRAIN_DEADLINE_S
        assert [events(first)[-1][name] for name in ("event", "drained")] == ["stopped", True]
        assert {one["Path"] for one in first.diff()} <= MOUNTED, "only the volume is written to"
    return before


async def arrived(daemons: Daemons, workloads: Sequence[Workload]) -> MigrationStatus:
    """Once everything that was written is at the targets."""
    moment = datetime.now(UTC)
    while True:
        status = await daemons.until(lambda status: is_through(status, moment))
        if not sum([await workload.waiting() for workload in workloads]):
            return status
        await anyio.sleep(0.5)


async def ended_as_first_process(daemons: Daemons) -> None:
    """Any other command, too, which handles no signals."""
    with daemons.one("status", "--watch") as watching:
        await shown(watching, b"orders")
        code, took_s = await stopped(watching)
    assert code == TERMINATED
    assert took_s < 5


async def shown(container: Any, text: bytes) -> None:
    """Once it has printed that."""
    with anyio.fail_after(60):
        while True:
            if text in container.logs():
                return
            await anyio.sleep(0.1)

"""Promises of `replicator sandbox up --workload`: a daemon of somebody else's finds everything it needs."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import anyio
import pytest

from fakes.served import run_command
from replicator.cli.demo import supplying
from replicator.cli.demo.daemon import DemoDaemon
from replicator.cli.demo.workload import Load
from sandbox.aws import AwsServer
from sandbox.processes import replicator_program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.embedded("aws", "it is started by the command")


SMALL = Load(items=100, objects=10, messages=5, rate_per_s=20, seconds=math.inf, large_bytes=1_000)


async def test_a_daemon_runs_on_what_is_written_and_sees_it_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "migration.yaml").write_text("of clouds that are no more")
    (shop / "state.sqlite-wal").write_text("likewise")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supplying.supplied, shop, SMALL)
        told = await _told(capsys)
        assert not (shop / "state.sqlite-wal").exists()
        environment = {name: told[name] for name in AwsServer().environment} | {"REPLICATOR_LISTEN": "127.0.0.1:0"}
        async with replicator_program(
            tmp_path / "daemon.log", "run", str(shop / "migration.yaml"), environment=environment
        ) as daemon:
            await _applied(await DemoDaemon.answering(daemon))
            assert await daemon.stop() == 0, daemon.tail()
        tasks.cancel_scope.cancel()
    assert (shop / "state.sqlite").exists()


async def _told(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The variables that are printed, once the config is said to be there."""
    printed = ""
    while True:
        printed += capsys.readouterr().out
        if "Run a daemon with " in printed:
            return dict(re.findall(r"^export (\w+)='?(.*?)'?$", printed, flags=re.MULTILINE))
        await anyio.sleep(0.05)


async def _applied(daemon: DemoDaemon) -> None:
    """Once more has been applied, of every pipeline, than there was at the beginning."""
    while True:
        pipelines = (await daemon.status()).pipelines
        if len(pipelines) == 4 and all(one.applied > 5 for one in pipelines.values()):
            return
        await anyio.sleep(0.1)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    assert run_command("sandbox", "up", "--workload", str(taken)) == 2
    assert f"{taken}: cannot be written" in capsys.readouterr().err


def test_the_workload_needs_every_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("sandbox", "up", "--without", "blob", "--workload", str(tmp_path)) == 2
    assert "the workload needs all services" in capsys.readouterr().err


def test_a_variable_has_its_value_as_default_and_one_that_has_a_default_keeps_it() -> None:
    config = "key: ${COSMOS_KEY}\nlisten: ${REPLICATOR_LISTEN:-127.0.0.1:8080}\n"
    assert supplying.with_defaults(config, {"COSMOS_KEY": "c2VjcmV0"}) == config.replace(
        "${COSMOS_KEY}", "${COSMOS_KEY:-c2VjcmV0}"
    )

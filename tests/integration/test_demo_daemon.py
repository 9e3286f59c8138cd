"""Promise: whatever becomes of the demo's daemon is said in one line, which names its log."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.served import Served, served
from fakes.statuses import FINE, but
from replicator.cli import demo_daemon
from replicator.cli.demo_daemon import DemoDaemon, last_error
from replicator.errors import ConfigurationError
from sandbox.processes import Program

NOBODY = "http://127.0.0.1:9"
JSON_ERROR = '{"event":"ended by an error","error":"pipelines.orders: no. Mend it","level":"error"}'


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


def ending(folder: Path, prints: str) -> Program:
    """A daemon that says this and ends."""
    return Program([sys.executable, "-c", f"print({prints!r}); raise SystemExit(2)"], folder / "daemon.log")


def sleeping(folder: Path) -> Program:
    return Program([sys.executable, "-c", "import time; time.sleep(60)"], folder / "daemon.log")


@pytest.mark.parametrize("started", [False, True])
async def test_a_daemon_that_ends_is_told_with_its_last_error_and_its_log(started: bool, tmp_path: Path) -> None:
    async with ending(tmp_path, JSON_ERROR) as program:
        with pytest.raises(ConfigurationError) as told:
            await (DemoDaemon(program, NOBODY).status() if started else DemoDaemon.answering(program))
    assert told.value.problem == "the daemon has ended with code 2 (pipelines.orders: no. Mend it)"
    assert told.value.fix == f"Its log is {tmp_path}/daemon.log"


async def test_a_daemon_that_does_not_answer_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_daemon, "DYING_S", 0.1)
    async with sleeping(tmp_path) as program:
        with pytest.raises(ConfigurationError) as told:
            await DemoDaemon(program, NOBODY).status()
    assert told.value.problem == "the daemon does not answer"
    assert told.value.fix == f"Its log is {tmp_path}/daemon.log"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ('{"event":"replicating","level":"info"}', ""),
        (f"{JSON_ERROR}\n" + '{"event":"stopped","level":"info"}\n17\n{', "pipelines.orders: no. Mend it"),
        (f"{JSON_ERROR}\nreplicator: config: is empty. Mend it", "config: is empty. Mend it"),
        ('{"event":"ended by a bug","exception":"Traceback","level":"critical"}', "ended by a bug"),
    ],
)
def test_the_last_error_of_a_log(log: str, said: str) -> None:
    assert last_error(log) == said


async def test_it_has_caught_up_once_everything_is_through_and_swept(place: Served, tmp_path: Path) -> None:
    daemon, moment = DemoDaemon(sleeping(tmp_path), place.url), datetime.now(UTC)
    assert await daemon.catch_up("orders", moment, 0.1) == (False, None), "no pipeline has begun"
    later, before = moment + timedelta(seconds=1), moment - timedelta(seconds=1)
    for through, stage, caught_up in (
        (None, "swept", False),
        (before, "swept", False),
        (later, "finished", False),
        (later, "swept", True),
    ):
        place.daemon.statuses = {"orders": but(FINE, replicated_through=through, copy_stage=stage)}
        found, last = await daemon.catch_up("orders", moment, 5 if caught_up else 0.1)
        assert found is caught_up
        assert last is not None
        assert last.copy_stage == stage

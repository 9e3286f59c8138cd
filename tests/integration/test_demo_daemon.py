"""Promise: whatever becomes of the demo's daemon is said in one line, which names its log."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.served import Served, served
from fakes.statuses import FINE, but
from replicator.cli.demo import daemon as demo_daemon
from replicator.cli.demo.daemon import DemoDaemon, Followed, last_error
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


async def nothing_waits() -> int:
    return 0


async def something_waits() -> int:
    return 1


async def test_it_has_caught_up_once_everything_is_through_and_swept(place: Served, tmp_path: Path) -> None:
    daemon, moment = DemoDaemon(sleeping(tmp_path), place.url), datetime.now(UTC)
    assert await daemon.catch_up({"orders": nothing_waits}, moment, 0.1) == {
        "orders": Followed(caught_up=False, catch_up_s=0.1)
    }, "no pipeline has begun"
    later, before = moment + timedelta(seconds=1), moment - timedelta(seconds=1)
    for through, stage, waiting, caught_up in (
        (None, "swept", nothing_waits, False),
        (before, "swept", nothing_waits, False),
        (later, "finished", nothing_waits, False),
        (later, "swept", something_waits, False),
        (later, "swept", nothing_waits, True),
    ):
        place.daemon.statuses = {"orders": but(FINE, replicated_through=through, copy_stage=stage)}
        found = (await daemon.catch_up({"orders": waiting}, moment, 5 if caught_up else 0.1))["orders"]
        assert found.caught_up is caught_up
        assert found.catch_up_s < 5
        assert found.last is not None
        assert found.last.copy_stage == stage


async def test_each_pipeline_has_a_time_of_its_own(place: Served, tmp_path: Path) -> None:
    daemon, moment = DemoDaemon(sleeping(tmp_path), place.url), datetime.now(UTC)
    through = but(FINE, replicated_through=moment + timedelta(seconds=1))
    place.daemon.statuses = {"orders": through, "emails": through}
    asked = 0

    async def waits_at_first() -> int:
        nonlocal asked
        asked += 1
        return int(asked < 3)

    found = await daemon.catch_up({"orders": nothing_waits, "emails": waits_at_first}, moment, 5)
    assert all(followed.caught_up for followed in found.values())
    assert found["orders"].catch_up_s < found["emails"].catch_up_s

"""Promises of `replicator cutover drain` and `abort`: the exit code tells, and what is in the way is said."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import anyio
import pytest

from fakes.served import Served, fenced, served
from replicator.cutover.switched import Switched


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


def test_drained_is_exit_code_0(place: Served) -> None:
    assert place.replicator("cutover", "drain") == "drained\n"
    assert place.daemon.recorded == [("drain", "", "")]
    told = json.loads(place.replicator("cutover", "drain", "--pipeline", "orders", "--release", "--json"))
    assert told["pipelines"]["orders"]["released"]
    assert place.daemon.recorded[1:] == [("drain", "orders", ""), ("release held queues", "orders", "")]


def test_what_is_in_the_way_is_said_and_the_exit_code_is_1(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakes.served.fenced", lambda **_: fenced(["1 dead letter is open"]))
    output, error = place.said("cutover", "drain", "--timeout", "0.1", expect=1)
    assert output == "not drained in time:\norders: 1 dead letter is open\ncustomers: 1 dead letter is open\n"
    assert "waiting: orders: 1 dead letter is open" in error


def test_what_is_in_the_way_is_said_now_and_then(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has times in it, and is another one at each look."""
    told = count()
    monkeypatch.setattr("replicator.cli.cutover.ASK_INTERVAL_S", 0.05)
    monkeypatch.setattr(place.daemon, "drains", lambda: {"orders": fenced([f"replicated through {next(told)}"])})
    output, error = place.said("cutover", "drain", "--timeout", "1", expect=1)
    assert error.count("waiting: ") == 1
    assert next(told) > 4
    assert "orders: replicated through" in output


def test_late_writes_are_named(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    late = {"late": 2, "late_at": fenced().fence, "late_keys": ["k1", "k2"]}
    monkeypatch.setattr("fakes.served.fenced", lambda **_: fenced().model_copy(update=late))
    assert "orders: 2 written after the fence" in place.replicator("cutover", "drain")
    assert "k1, k2" in place.replicator("cutover", "drain")


def test_what_cannot_be_drained_is_exit_code_2(place: Served) -> None:
    place.daemon.failed = lambda: True
    assert "has failed" in place.said("cutover", "drain", expect=2)[1]
    assert "no pipeline nope" in place.said("cutover", "drain", "--pipeline", "nope", expect=2)[1]


def test_aborting_leads_back(place: Served) -> None:
    place.replicator("cutover", "drain")
    assert place.replicator("cutover", "abort") == "following again\n"
    assert json.loads(place.replicator("cutover", "abort", "--json"))["pipelines"] == {
        "orders": None,
        "customers": None,
    }
    assert [name for name, _, _ in place.daemon.recorded] == ["drain", "abort the drain", "abort the drain"]


def test_nothing_that_is_sealed_is_said_to_follow_again(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.daemon, "sealed", lambda: ["orders"])
    for words in [(), ("--pipeline", "orders")]:
        assert "pipelines.orders: is sealed" in place.said("cutover", "abort", *words, expect=2)[1]
    assert place.daemon.recorded == []
    assert place.replicator("cutover", "abort", "--pipeline", "customers") == "following again\n"


def test_sealing_is_refused_or_forced_for_a_reason(place: Served) -> None:
    assert "is not drained" in place.said("cutover", "seal", expect=2)[1]
    assert "--reason" in place.said("cutover", "seal", "--force", expect=2)[1]
    place.replicator("cutover", "seal", "--force", "--reason", "the source is gone")
    assert place.daemon.recorded[-1] == ("seal by force", "", "the source is gone")


def test_a_seal_is_answered_in_time_whatever_is_still_under_way(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is down, say: the daemon goes on with it, and the command says what it waits for."""
    writing = fenced().model_copy(update={"under_way": ["changes are being written"]})
    quiet = threading.Event()

    async def wait(_: object) -> None:
        threading.Timer(0.5, quiet.set).start()
        await anyio.sleep_forever()

    monkeypatch.setattr("replicator.api.draining.QUIET_WITHIN_S", 0.1)
    monkeypatch.setattr(place.daemon, "quiet", wait)
    monkeypatch.setattr(place.daemon, "drains", lambda: {"orders": fenced() if quiet.is_set() else writing})
    output, error = place.said("cutover", "seal", "--force", "--reason", "the source is gone")
    assert output == "sealed: nothing is written to the targets any more\n"
    assert error == "waiting: orders is sealed: changes are being written\n"


@pytest.mark.parametrize("words", [("cutover", "drain"), ("cutover", "seal"), ("triggers", "undo")], ids=" ".join)
def test_what_would_get_in_the_way_of_a_switch_is_refused_while_one_is_under_way(
    place: Served, words: tuple[str, ...]
) -> None:
    place.daemon.switching.told = Switched(began_at=datetime(2026, 1, 1, tzinfo=UTC), by="ann", max_pause_s=5)
    assert "a switch is under way" in place.said(*words, expect=2)[1]
    assert place.daemon.recorded == []

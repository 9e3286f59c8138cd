"""Promises of `replicator triggers`: what is seen, what would be done, how far a step has come, and who has said so."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.served import Served, served
from replicator.triggers.model import Place, Side


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


def settings(place: Served) -> list[str | None]:
    return [thing.setting for thing in place.daemon.things.values()]


def test_a_dry_run_changes_nothing(place: Served) -> None:
    assert place.replicator("triggers", "cordon", "--dry-run") == (
        "stream.aws: on -> off\ndns.aws: unknown -> off by hand: Turn DNS off\nnothing was changed\n"
    )
    assert json.loads(place.replicator("triggers", "undo", "--dry-run", "--json"))["planned"] == []
    assert settings(place) == [None, "on", "off"]
    assert place.daemon.recorded == []


def test_a_switch_goes_through_with_a_manual_step_and_comes_back(place: Served) -> None:
    said = place.replicator("triggers", "cordon", expect=1)
    next_step = "then: replicator triggers sign-off dns aws-off, and cordon again"
    assert said.splitlines() == ["stream.aws: done", "dns: Turn DNS off", next_step]
    assert "Cordon first" in place.said("triggers", "activate", expect=2)[1]
    assert place.replicator("triggers", "sign-off", "dns", "aws-off") == "dns: aws-off is signed off\n"
    assert place.replicator("triggers", "cordon") == "stream.aws: done\ndns.aws: done\ncordon: complete\n"
    assert json.loads(place.replicator("triggers", "activate", "--json"))["complete"] is True
    assert settings(place) == ["off", "on", "on"]
    place.replicator("triggers", "undo", expect=1)
    place.replicator("triggers", "sign-off", "dns", "aws-on")
    place.replicator("triggers", "undo")
    assert settings(place) == [None, "on", "off"]
    assert [name for name, *_ in place.daemon.recorded] == [
        "turn a trigger off", "sign a trigger off", "turn a trigger on",
        "put a trigger back", "put a trigger back", "sign a trigger off",
    ]  # fmt: skip


def test_the_status_shows_what_was_seen_and_how_it_was_before(place: Served) -> None:
    assert "stream.aws: unknown" in place.replicator("triggers", "status"), "nobody has looked yet"
    place.replicator("triggers", "cordon", expect=1)
    place.portal.call(place.daemon.triggers().observe)
    said = place.replicator("triggers", "status").splitlines()
    assert said[0] == "stream.aws: off; by a step; before: on"
    assert said[2] == "stream.azure: off"
    place.daemon.things[Place("stream", Side.AZURE)].fails = "observe"
    place.portal.call(place.daemon.triggers().observe)
    told = json.loads(place.replicator("triggers", "status", "--json"))["triggers"][2]
    assert (told["enabled"], told["settled"]) == (None, False)
    assert "cannot be looked at" in told["failure"]


def test_what_makes_no_sense_is_refused_without_effect(place: Served) -> None:
    for arguments in (("dns", "off"), ("dns", "azure-off"), ("nope", "aws-off"), ("stream", "aws-off")):
        place.said("triggers", "sign-off", *arguments, expect=2)
    place.daemon.failed = lambda: True
    for command in ("status", "cordon", "activate", "undo"):
        assert "409" in place.said("triggers", command, expect=2)[1]
    assert place.daemon.recorded == []

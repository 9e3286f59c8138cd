"""Promises of the programs that stand for functions: what was lost, and what was done twice, is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.workload.consumers import Entry, Journal, read_journal, reckon
from sandbox.workload.consumers.functions import triggers
from sandbox.workload.consumers.lambdas import events
from sandbox.workload.consumers.traffic import confirmation, send_to, wanted

if TYPE_CHECKING:
    from pathlib import Path


def entry(event: str, side: str = "aws", at: float = 1.0, kind: str = "orders") -> Entry:
    return Entry(event, kind, side, at)


def test_what_is_noted_comes_back_but_for_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert read_journal(path) == []
    Journal(path, "aws").note("orders", "one")
    Journal(path, "azure").note("mail", "two")
    path.write_text(path.read_text() + '{"event": "thr')
    assert [(e.event, e.kind, e.side) for e in read_journal(path)] == [
        ("one", "orders", "aws"),
        ("two", "mail", "azure"),
    ]


def test_events_are_lost_repeated_unknown_or_fine() -> None:
    written = [entry("lost"), entry("twice"), entry("once")]
    done = [entry("twice", at=2), entry("once", at=3), entry("twice", "azure", at=9), entry("stray", "azure")]
    found = reckon(written, [*done, entry("tick-1", kind="ticks")])
    assert [e.event for e in found.lost] == ["lost"]
    assert [(e.event, e.sides, e.first_at, e.last_at) for e in found.repeated] == [("twice", ("aws", "azure"), 2, 9)]
    assert found.unknown == ["stray"]
    assert found.handled("orders", "azure") == 2
    assert found.repeated_of("mail") == []


def test_a_message_holds_its_event_or_tells_of_objects() -> None:
    assert events(json.dumps({"event": "one"})) == ["one"]
    assert events(json.dumps({"Event": "s3:TestEvent"})) == []
    records = [{"s3": {"object": {"key": "a+b%C3%BC"}}}]
    assert events(json.dumps({"Records": records})) == ["a bü"]


def test_what_replicator_leaves_in_place_of_a_deleted_document_triggers_nothing() -> None:
    assert triggers({"event": "one", "_replicator": {}}) == "one"
    assert triggers({"event": "one", "_replicator": {"deleted": True}}) is None
    assert triggers({"id": "none"}) is None


def test_traffic_goes_nowhere_until_somebody_sends_it(tmp_path: Path) -> None:
    file = tmp_path / "traffic"
    assert wanted(file) == "nowhere"
    send_to(file, "azure")
    assert wanted(file) == "azure"
    assert confirmation(file) != file

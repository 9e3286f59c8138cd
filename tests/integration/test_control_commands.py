"""Promises of `pause`, `resume`, `budget`, `audit`, and of showing and discarding dead letters, with keys hashed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.served import Served, served
from fakes.statuses import FINE, but
from replicator.model import Payload, Rejection
from replicator.naming import NAME, Naming

KEY = '{"customer":"jane@example.com"}'


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


def refuse(place: Served, payload: Payload, key: str = KEY) -> None:
    rejection = Rejection(key, f"waits behind message {key}", payload=payload)
    place.portal.call(place.daemon.store.add_dead_letters, "orders", f"keys:{key}", [rejection])


class TestControl:
    def test_named_pipelines_are_paused_and_resumed(self, place: Served) -> None:
        assert place.replicator("pause", "orders") == "orders: paused; what was read is finished and saved\n"
        assert place.daemon.controls["orders"].gate.is_closed
        assert not place.daemon.controls["customers"].gate.is_closed
        assert json.loads(place.replicator("resume", "orders", "--json")) == {"orders": {"paused": False}}
        assert not place.daemon.controls["orders"].gate.is_closed
        assert place.daemon.recorded == [("pause", "orders", ""), ("resume", "orders", "")]

    def test_all_are_where_none_is_named_but_those_that_have_failed(self, place: Served) -> None:
        place.said("pause", expect=2)
        place.daemon.statuses = {"orders": FINE, "customers": but(FINE, phase="failed")}
        assert json.loads(place.replicator("pause", "--json")) == {"orders": {"paused": True}}

    def test_budgets_are_shown_and_changed_and_taken_back(self, place: Served) -> None:
        assert place.replicator("budget", "orders") == ("source units  500\ntarget units  no limit\nconcurrency   64\n")
        said = place.replicator("budget", "orders", "--source-units", "20.5", "--target-units", "100")
        assert said == (
            "source units  20.5 (configured: 500)\ntarget units  100 (configured: no limit)\nconcurrency   64\n"
        )
        back = ("--source-units", "config", "--target-units", "none", "--concurrency", "8")
        assert json.loads(place.replicator("budget", "orders", *back, "--json")) == {
            "source_units": {"now": 500.0, "configured": 500.0},
            "target_units": {"now": None, "configured": None},
            "concurrency": {"now": 8.0, "configured": 64.0},
        }
        assert place.daemon.recorded[-1][2] == "source_units config, target_units none, concurrency 8"

    @pytest.mark.parametrize(
        "options",
        [("--source-units", "none"), ("--source-units", "0"), ("--target-units", "nan"), ("--target-units", "-1"),
         ("--concurrency", "0"), ("--concurrency", "2.5"), ("--concurrency", "many")],
    )  # fmt: skip
    def test_what_makes_no_sense_is_refused_without_effect(self, place: Served, options: tuple[str, str]) -> None:
        place.said("budget", "orders", *options, expect=2)
        assert place.daemon.recorded == []
        assert place.daemon.controls["orders"].budgets == place.daemon.controls["orders"].configured

    def test_an_unknown_pipeline_is_named(self, place: Served) -> None:
        for command in (("pause", "nope"), ("resume", "no/pe"), ("budget", "nope")):
            assert "404" in place.said(*command, expect=2)[1]
        assert place.daemon.recorded == []

    def test_one_that_has_failed_is_told(self, place: Served) -> None:
        place.daemon.failed = lambda: True
        assert "409" in place.said("pause", "orders", expect=2)[1]


class TestLetters:
    def test_one_is_shown_whole_and_that_is_written_down(self, place: Served) -> None:
        refuse(place, Payload("v1", {"position": "p7"}, '{"name":"Jane"}'))
        said = place.replicator("dead-letters", "show", "orders", "--key", KEY)
        for part in ("v1", "p7", KEY, "Jane"):
            assert part in said
        assert place.daemon.recorded == [("show a dead letter", "orders", KEY)]
        assert "Jane" not in place.replicator("dead-letters", "list", "--json")

    def test_discarding_needs_a_reason_and_is_written_down(self, place: Served) -> None:
        refuse(place, Payload("v1"))
        place.said("dead-letters", "discard", "orders", "--key", KEY, expect=2)
        place.said("dead-letters", "discard", "orders", "--key", KEY, "--reason", " ", expect=2)
        assert place.left("orders") == {KEY}
        said = place.replicator("dead-letters", "discard", "orders", "--key", KEY, "--reason", "a test")
        assert said == "1 discarded, 0 still open\n"
        assert place.left("orders") == set()
        assert place.daemon.recorded == [("discard dead letters", "orders", f"{KEY}: a test")]
        _, error = place.said("dead-letters", "discard", "orders", "--key", KEY, "--reason", "again", expect=2)
        assert "no dead letter of orders is open" in error

    def test_hashed_keys_are_shown_nowhere_and_what_is_shown_can_be_given_back(self, place: Served) -> None:
        place.daemon.naming = Naming(b"secret")
        keys = [f'{{"customer":"jane{n}@example.com"}}' for n in range(25)]
        for key in keys:
            refuse(place, Payload("v1"), key)
        listed = place.replicator("dead-letters", "list", "--json")
        names = [letter["key"] for letter in json.loads(listed)]
        assert len(set(names)) == 25
        assert all(NAME.fullmatch(name) for name in names)
        place.daemon.naming = Naming(b"secret")  # as after a restart: it remembers nothing
        said = listed + place.replicator("dead-letters", "show", "orders", "--key", names[0])
        said += place.replicator("dead-letters", "discard", "orders", "--key", names[1], "--reason", "r")
        said += place.replicator("dead-letters", "retry", "orders", "--key", names[2])
        said += place.replicator("dead-letters", "retry", "orders", "--all")
        said += place.replicator("audit")
        assert "jane" not in said
        assert f"discard dead letters orders ({names[1]}: r)" in said
        assert place.left("orders") == set()
        assert [k for page in place.daemon.asked for k in page] == [keys[2], keys[0], *keys[3:]]

    def test_pages_of_hashed_keys_reach_each_although_some_are_resolved(self, place: Served) -> None:
        place.daemon.naming = Naming(b"secret")
        keys = [f"k{n:03}" for n in range(300)]
        place.refuse("orders", keys)
        place.replicator("dead-letters", "retry", "orders", "--all")
        assert [k for page in place.daemon.asked for k in page] == keys

    def test_bodies_expire(self, place: Served) -> None:
        refuse(place, Payload("v1", {"position": "p7"}, "body"))
        store = place.daemon.store
        assert place.portal.call(store.expire_payloads, datetime.now(UTC) - timedelta(minutes=1)) == 0
        assert place.portal.call(store.expire_payloads, datetime.now(UTC) + timedelta(minutes=1)) == 1
        shown = json.loads(place.replicator("dead-letters", "show", "orders", "--key", KEY, "--json"))
        assert (shown["body"], shown["reference"], shown["version"]) == (None, {"position": "p7"}, "v1")


def test_the_audit_log_is_listed_to_its_end(place: Served) -> None:
    place.replicator("pause", "orders")
    place.replicator("resume", "orders")
    lines = place.replicator("audit").splitlines()
    assert [line.split(": ", 1)[1] for line in lines] == ["pause orders", "resume orders"]
    assert [action["name"] for action in json.loads(place.replicator("audit", "--json"))] == ["pause", "resume"]

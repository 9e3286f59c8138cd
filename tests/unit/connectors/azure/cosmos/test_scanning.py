"""Promises of the scan and of the sweep: everything is shown, and what a copy left behind is undone, with care."""

import json
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.azure.cosmos.mapping import MappingRules
from connectors.azure.cosmos.scanning import Scanner
from connectors.azure.cosmos.sidecar import SIDECAR
from connectors.azure.cosmos.writing import as_write
from fakes.containers import refusal
from fakes.cosmos_bench import NOW, RULES, CosmosBench, delete, key, upsert
from replicator.documents import Document, digest
from replicator.model import Listed, Rule

HOUR = timedelta(hours=1)


class Bench(CosmosBench):
    """A scanner over a container."""

    def __init__(self) -> None:
        super().__init__()
        self.scanner = Scanner(self.container, self.calls, RULES)

    async def pages(self, position: str | None = None) -> list[Listed]:
        async with aclosing(self.scanner.scan(position)) as pages:
            return [page async for page in pages]

    async def sweep(self) -> list[int]:
        counts: list[int] = []
        await self.scanner.sweep(counts.append)
        return counts

    def body(self, sk: str) -> dict[str, Any]:
        (body,) = [body for body in self.container.held() if body["id"] == sk]
        return body


# --- scanning -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 4))
@settings(deadline=None)
async def test_a_scan_shows_everything_and_goes_on_after_any_position(count: int, page: int, ranges: int) -> None:
    bench = Bench()
    bench.container.page, bench.container.ranges = page, ranges
    for n in range(count):
        bench.put(upsert(f"s{n}"))
    pages = await bench.pages()
    assert sorted(k for p in pages for k in p.keys) == sorted(key(f"s{n}") for n in range(count))
    for done, at in enumerate(pages, start=1):
        resumed = [k for p in await bench.pages(at.position) for k in p.keys]
        assert resumed == [k for p in pages[done:] for k in p.keys]


@given(st.integers(0, 30), st.integers(1, 4), st.integers(1, 6), st.data())
@settings(deadline=None)
async def test_a_scan_goes_on_after_partitions_have_split_or_merged(
    count: int, ranges: int, later: int, data: st.DataObject
) -> None:
    """A position outlives the process, and the container's physical partitions do not stay as they were."""
    bench = Bench()
    bench.container.ranges = ranges
    for n in range(count):
        bench.put(upsert(f"s{n}"))
    pages = await bench.pages()
    done = data.draw(st.integers(0, len(pages)))
    bench.container.ranges = later
    resumed = await bench.pages(pages[done - 1].position if done else None)
    seen = {k for p in [*pages[:done], *resumed] for k in p.keys}
    assert seen == {key(f"s{n}") for n in range(count)}


async def test_a_place_in_a_range_that_the_service_no_longer_knows_is_given_up_for_its_beginning() -> None:
    bench = Bench()
    for n in range(20):
        bench.put(upsert(f"s{n}"))
    first, *_ = await bench.pages()
    bench.container.fault = lambda operation, ids: refusal(400) if operation == "page" and ids == ["3"] else None
    bench.container.page = 20
    resumed = [k for p in await bench.pages(first.position) for k in p.keys]
    assert sorted(resumed) == sorted(key(f"s{n}") for n in range(20))


async def test_ranges_that_cannot_be_read_at_first_are_read_again() -> None:
    bench = Bench()
    bench.put(upsert("s"))
    failures = [refusal(503)]
    bench.container.fault = lambda operation, _: failures.pop() if failures and operation == "ranges" else None
    assert [p.keys for p in await bench.pages()] == [(key("s"),)]


async def test_tombstones_are_listed_under_their_keys() -> None:
    bench = Bench()
    bench.put(delete("s"), Rule.OVERLAP)
    assert [p.keys for p in await bench.pages()] == [(key("s"),)]


async def test_foreign_documents_are_listed_apart_and_removed_only_as_they_were() -> None:
    bench = Bench()
    bench.put(upsert("ours"))
    bench.container.put({"id": "theirs", "pk": "z", "a": 1})
    bench.container.put({"id": "spoiled", "pk": "z", SIDECAR: {"v": 1, "digest": 7}, "sk": "spoiled"})
    pages = await bench.pages()
    assert [k for p in pages for k in p.keys] == [key("ours")]
    handles = sorted(h for p in pages for h in p.foreign)
    assert [json.loads(h)[:2] for h in handles] == [["spoiled", "z"], ["theirs", "z"]]
    bench.container.put({"id": "theirs", "pk": "z", "a": 2})
    for handle in [*handles, *handles]:
        await bench.scanner.remove(handle)
    assert sorted(body["id"] for body in bench.container.held()) == ["ours", "theirs"], "one has changed since"


BY_BOTH = MappingRules(("pk", "sk"), ("pk", "sk"), ("/pk",))
"""The config before: the documents of the same records had other ids."""


async def test_documents_of_ours_that_are_not_where_their_records_belong_are_listed_apart() -> None:
    """Nobody finds them by their key any more: neither a write, nor a delete, nor a reconcile of that key."""
    bench = Bench()
    bench.put(upsert("s"))
    for change, rule in ((upsert("s"), Rule.FOLLOW), (upsert("t"), Rule.FOLLOW), (delete("u"), Rule.OVERLAP)):
        write = as_write(change, rule, BY_BOTH, NOW)
        assert write is not None
        bench.container.put(write.document.body)
    pages = await bench.pages()
    assert [k for p in pages for k in p.keys] == [key("s")]
    assert [h for p in pages for h in p.foreign] == []
    handles = [h for p in pages for h in p.leftovers]
    assert sorted(json.loads(h)[0] for h in handles) == ["a|s", "a|t", "a|u"]
    for handle in handles:
        await bench.scanner.remove(handle)
    assert [body["id"] for body in bench.container.held()] == ["s"]


async def test_a_tombstone_of_a_container_with_unique_keys_is_a_leftover_too() -> None:
    """It holds more than its digest is of."""
    bench = Bench()
    write = as_write(delete("u"), Rule.OVERLAP, replace(BY_BOTH, unique_paths=("/n",)), NOW)
    assert write is not None
    bench.container.put(write.document.body)
    assert [len(p.leftovers) for p in await bench.pages()] == [1]


async def test_a_document_in_another_logical_partition_than_its_record_is_not_where_it_belongs() -> None:
    """The same key, written in another way: as text, where the record has a number that a double holds."""
    bench = Bench()
    record: Document = {"pk": Decimal(1), "sk": "s"}
    note = {"v": 1, "digest": digest(record), "version": "", "types": {"pk": "N"}}
    bench.container.put({"id": "s", "pk": "1.0", "sk": "s", SIDECAR: note})
    (page,) = await bench.pages()
    assert (page.keys, len(page.leftovers), page.foreign) == ((), 1, ())


async def test_what_somebody_has_moved_and_changed_is_foreign() -> None:
    """It may be dear to them: only what is as we wrote it is ours to remove unasked."""
    bench = Bench()
    bench.put(upsert("s"))
    bench.container.put({**bench.body("s"), "id": "moved", "n": "theirs"})
    pages = await bench.pages()
    assert [k for p in pages for k in p.keys] == [key("s")]
    assert [h for p in pages for h in p.leftovers] == []
    assert [json.loads(h)[0] for p in pages for h in p.foreign] == ["moved"]


@pytest.mark.parametrize("lands", [True, False])
async def test_a_removal_of_unknown_outcome_is_taken_up_again(lands: bool) -> None:
    bench = Bench()
    bench.container.put({"id": "theirs", "pk": "z"})
    (page,) = await bench.pages()
    lost = [1]

    def lose(asked: str, _: list[str]) -> Exception | None:
        if asked != "delete" or not lost:
            return None
        lost.pop()
        if lands:
            bench.container.documents.clear()
        return refusal(503)

    bench.container.fault = lose
    await bench.scanner.remove(page.foreign[0])
    assert bench.container.held() == []


async def test_foreign_documents_of_a_hierarchical_key_are_addressed_by_all_of_it() -> None:
    bench = Bench()
    bench.container.members = ("pk", "sk")
    scanner = Scanner(bench.container, bench.calls, MappingRules(("pk", "sk"), ("sk",), ("/pk", "/sk")))
    bench.container.put({"id": "theirs", "pk": "z", "sk": "y"})
    (page,) = [p async for p in scanner.scan(None) if p.foreign]
    await scanner.remove(page.foreign[0])
    assert bench.container.held() == []


async def test_a_page_that_fails_is_read_again_from_where_it_begins() -> None:
    bench = Bench()
    for n in range(10):
        bench.put(upsert(f"s{n}"))
    failures = [refusal(503), refusal(429)]
    bench.container.fault = lambda operation, ids: failures.pop() if failures and ids == ["3"] else None
    pages = await bench.pages()
    assert sorted(k for p in pages for k in p.keys) == sorted(key(f"s{n}") for n in range(10))


@pytest.mark.parametrize("held", [0, 1])
async def test_whether_it_is_empty(held: int) -> None:
    bench = Bench()
    for _ in range(held):
        bench.container.put({"id": "theirs", "pk": "z"})
    assert await bench.scanner.is_empty() is (held == 0)


# --- the sweep ----------------------------------------------------------------------------------------------------


async def test_the_sweep_purges_tombstones_and_sets_expiries() -> None:
    bench = Bench()
    bench.put(upsert("plain"), Rule.OVERLAP)
    bench.put(upsert("expiring", expires_at=NOW + HOUR), Rule.OVERLAP)
    bench.put(upsert("copied", expires_at=NOW + HOUR), Rule.COPY)
    bench.put(delete("gone"), Rule.OVERLAP)
    for n in range(5):
        bench.put(delete(f"gone{n}"), Rule.OVERLAP)
    assert sum(await bench.sweep()) == 8
    assert set(bench.numbers()) == {"plain", "expiring", "copied"}
    for sk in ("expiring", "copied"):
        body = bench.body(sk)
        assert 3598 <= body["ttl"] <= 3600
        assert "held" not in body[SIDECAR]
        assert body[SIDECAR]["expires"] == int((NOW + HOUR).timestamp())
    assert "ttl" not in bench.body("plain")
    assert await bench.sweep() == [], "nothing is left to do"


async def test_what_has_expired_meanwhile_is_deleted() -> None:
    bench = Bench()
    bench.put(upsert("expired", expires_at=NOW + timedelta(seconds=1)), Rule.OVERLAP)
    bench.calls.clock.observe(NOW + HOUR, 0, 0)
    await bench.sweep()
    assert bench.container.held() == []


@pytest.mark.parametrize("operation", ["patch", "delete"])
@pytest.mark.parametrize("status", [404, 409, 412])
async def test_what_has_changed_meanwhile_is_left_to_its_writer(operation: str, status: int) -> None:
    """A change that came after the copy was written without being held back."""
    bench = Bench()
    bench.put(upsert("expiring", expires_at=NOW + HOUR), Rule.OVERLAP)
    bench.put(delete("gone"), Rule.OVERLAP)
    conflicted: list[list[str]] = []

    def meanwhile(asked: str, ids: list[str]) -> Exception | None:
        if asked != operation or ids in conflicted:
            return None
        conflicted.append(ids)
        bench.put(upsert(ids[0], 9))
        return refusal(status)

    bench.container.fault = meanwhile
    await bench.sweep()
    (changed,) = conflicted[0]
    assert bench.numbers()[changed] == "9"
    assert await bench.sweep() == []


@pytest.mark.parametrize("lands", [True, False])
async def test_an_unknown_outcome_is_looked_at_again(lands: bool) -> None:
    bench = Bench()
    bench.put(delete("gone"), Rule.OVERLAP)
    lost = [1]

    def lose(asked: str, _: list[str]) -> Exception | None:
        if asked != "delete" or not lost:
            return None
        lost.pop()
        if lands:
            bench.container.documents.clear()
        return refusal(503)

    bench.container.fault = lose
    await bench.sweep()
    assert bench.container.held() == []


@pytest.mark.parametrize(
    "spoiled",
    [
        {"held": True},
        {"v": 2, "held": True, "digest": "d", "version": ""},
        {"v": 1, "held": True, "digest": "d", "version": "", "expires": "soon"},
    ],
)
async def test_what_somebody_has_made_unreadable_neither_stops_nor_holds_up_the_sweep(spoiled: dict[str, Any]) -> None:
    """It is nobody's to undo: a repair names it as foreign."""
    bench = Bench()
    bench.container.put({"id": "spoiled", "pk": "a", "sk": "spoiled", "n": "1", SIDECAR: spoiled})
    bench.put(delete("gone"), Rule.OVERLAP)
    assert sum(await bench.sweep()) == 1
    assert set(bench.numbers()) == {"spoiled"}
    assert bench.body("spoiled")[SIDECAR] == spoiled


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def test_a_sweep_that_takes_hours_sets_each_expiry_as_of_then() -> None:
    bench = Bench()
    for n in range(4):
        bench.put(upsert(f"s{n}", expires_at=at(7200)), Rule.OVERLAP)
    clock = bench.calls.clock
    bench.container.page = 1

    def slow(operation: str, ids: list[str]) -> Exception | None:
        if operation == "page" and ids != ["0"]:
            clock.observe(at(600 * int(ids[0])), 0, 0)
        return None

    bench.container.fault = slow
    await bench.sweep()
    assert sorted(7200 - int(body["ttl"]) for body in bench.container.held()) != [0, 0, 0, 0]


async def test_what_is_held_without_a_reason_of_ours_is_not_deleted() -> None:
    """We hold nothing that neither expires nor is a tombstone; a record must not be lost because somebody has."""
    bench = Bench()
    bench.put(upsert("s"))
    body = bench.body("s")
    body[SIDECAR]["held"] = True
    bench.container.put(body)
    assert await bench.sweep() == []
    assert set(bench.numbers()) == {"s"}


async def test_what_never_takes_the_condition_does_not_hold_the_sweep_up_for_ever() -> None:
    bench = Bench()
    bench.put(delete("stuck"), Rule.OVERLAP)
    bench.put(delete("gone"), Rule.OVERLAP)
    bench.container.fault = lambda operation, ids: refusal(412) if operation == "delete" and ids == ["stuck"] else None
    assert sum(await bench.sweep()) == 1
    assert [body["id"] for body in bench.container.held()] == ["stuck"]


async def test_outcomes_that_stay_unknown_are_tried_until_they_are_known() -> None:
    bench = Bench()
    bench.put(delete("gone"), Rule.OVERLAP)
    failures = [refusal(503)] * 4
    bench.container.fault = lambda operation, _: failures.pop() if failures and operation == "delete" else None
    await bench.sweep()
    assert bench.container.held() == []


async def test_what_was_listed_as_it_no_longer_is_is_listed_again() -> None:
    """A replica that lags behind may show a document as it was; it is still held."""
    bench = Bench()
    bench.put(delete("gone"), Rule.OVERLAP)
    stale = [refusal(412)]
    bench.container.fault = lambda operation, _: stale.pop() if stale and operation == "delete" else None
    await bench.sweep()
    assert bench.container.held() == []

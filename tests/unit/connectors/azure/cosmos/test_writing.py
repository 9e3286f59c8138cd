"""Promises of the writer: every change is written or refused with its reason, whatever the service makes of batches."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.azure.cosmos.writing import MOST_OPERATIONS, Action, Write, Writer, as_write
from fakes import containers
from fakes.containers import refusal
from fakes.cosmos_bench import NOW, RULES, CosmosBench, delete, key, upsert
from fakes.targets import IMPATIENT
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.delivery import Backoff
from replicator.documents import Document, key_text
from replicator.model import Change, Operation, Rejection, Rule

HOUR = timedelta(hours=1)


class Bench(CosmosBench):
    """A writer over a container that already holds some rows."""

    def __init__(self, *held: str, backoff: Backoff = IMPATIENT) -> None:
        super().__init__(backoff=backoff)
        for sk in held:
            self.container.put({"pk": "a", "id": sk, "sk": sk, "n": "held"})
        self.writer = Writer(self.container, self.calls)

    async def write(self, changes: list[Change[Document]], rule: Rule) -> list[Rejection]:
        writes = [as_write(change, rule, RULES, NOW) for change in changes]
        return await self.writer.write([w for w in writes if w is not None])


# --- what a rule makes of a change --------------------------------------------------------------------------------


def action(change: Change[Document], rule: Rule) -> Action | None:
    write = as_write(change, rule, RULES, NOW)
    return None if write is None else write.action


def test_rules_say_how_a_change_is_written() -> None:
    assert action(upsert("b"), Rule.COPY) is Action.CREATE
    assert action(upsert("b"), Rule.OVERLAP) is Action.UPSERT
    assert action(upsert("b"), Rule.FOLLOW) is Action.UPSERT
    assert action(delete("b"), Rule.FOLLOW) is Action.DELETE


def test_beside_a_copy_a_delete_leaves_a_tombstone() -> None:
    write = as_write(delete("b"), Rule.OVERLAP, RULES, NOW)
    assert write is not None
    assert write.action is Action.UPSERT
    assert write.document.body["_replicator"]["deleted"] is True  # type: ignore[index, call-overload]


@pytest.mark.parametrize(("after", "gone"), [(-HOUR, True), (timedelta(0), True), (timedelta(seconds=1), False)])
def test_a_record_past_its_expiry_counts_as_deleted(after: timedelta, *, gone: bool) -> None:
    change = upsert("b", expires_at=NOW + after)
    assert action(change, Rule.COPY) is (None if gone else Action.CREATE)
    assert action(change, Rule.FOLLOW) is (Action.DELETE if gone else Action.UPSERT)
    overlap = as_write(change, Rule.OVERLAP, RULES, NOW)
    assert overlap is not None
    assert ("deleted" in overlap.document.body["_replicator"]) is gone  # type: ignore[operator]


def test_only_what_can_never_be_held_needs_no_delete() -> None:
    """A record without its key attribute is a bug, which must not pass for a delete that is done."""
    too_long: Document = {"pk": bytes(2048), "sk": "s"}
    for rule in Rule:
        assert as_write(Change(key_text(too_long), Operation.DELETE, too_long), rule, RULES, NOW) is None
    with pytest.raises(ValueError, match="key attribute sk"):
        as_write(Change("k", Operation.DELETE, {"pk": "a", "sk": None}), Rule.FOLLOW, RULES, NOW)


@pytest.mark.parametrize(("rule", "held"), [(Rule.COPY, True), (Rule.OVERLAP, True), (Rule.FOLLOW, False)])
def test_expiry_is_held_off_while_rows_are_copied(rule: Rule, *, held: bool) -> None:
    write = as_write(upsert("b", expires_at=NOW + HOUR), rule, RULES, NOW)
    assert write is not None
    assert ("ttl" in write.document.body) is not held


# --- together, and apart when that is refused ---------------------------------------------------------------------


async def test_writes_of_one_logical_partition_go_together() -> None:
    bench = Bench()
    assert await bench.write([upsert(f"s{n}") for n in range(7)] + [upsert("s", pk="b")], Rule.FOLLOW) == []
    assert sorted(bench.requests()) == ["batch", "upsert"]
    assert len(bench.numbers()) == 8


@given(st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39), max_size=4), st.booleans())
@settings(deadline=None)
async def test_what_is_refused_is_found_by_halving_and_nothing_else_suffers(
    held: set[int], bad: set[int], whole: bool
) -> None:
    """Copied rows that are there already are left alone; what the service never takes is rejected by its key.

    It may refuse an operation of a batch, or the batch as a `whole`.
    """
    bench = Bench(*(f"s{n}" for n in held))

    def refuse(operation: str, ids: list[str]) -> Exception | None:
        bad_ids = {f"s{n}" for n in bad}
        if operation == "batch":
            return (refusal(413) if whole else containers.batch_failure(400)) if bad_ids & set(ids) else None
        return refusal(400) if bad_ids & set(ids) else None

    bench.container.fault = refuse
    rejections = await bench.write([upsert(f"s{n}", n) for n in range(40)], Rule.COPY)
    assert {r.key for r in rejections} == {key(f"s{n}") for n in bad}
    assert all("Cosmos DB refuses the document: status 400/0" in r.reason for r in rejections)
    expected = {f"s{n}": "held" if n in held else str(n) for n in range(40) if n in held or n not in bad}
    assert bench.numbers() == expected


async def test_one_refused_row_among_many_costs_few_requests() -> None:
    bench = Bench("s37")
    assert await bench.write([upsert(f"s{n}") for n in range(64)], Rule.COPY) == []
    assert len(bench.requests()) == 2 * 6 + 1, "one batch, then two halves of each of six sizes"


async def test_how_many_go_together_is_found_by_trying() -> None:
    bench = Bench(*(f"s{n}" for n in range(MOST_OPERATIONS)))
    rows = [upsert(f"s{n}") for n in range(MOST_OPERATIONS)]

    async def largest() -> int:
        bench.container.asked.clear()
        await bench.write(rows, Rule.COPY)
        return max(len(ids) for _, ids in bench.container.asked)

    assert [await largest() for _ in range(9)] == [100, 50, 25, 12, 6, 3, 1, 2, 1]
    bench.container.documents.clear()
    sizes = []
    for _ in range(8):
        sizes.append(await largest())
        bench.container.documents.clear()
    assert sizes == [2, 4, 8, 16, 32, 64, 100, 100]


@pytest.mark.parametrize(
    ("change", "rule", "status"),
    [(upsert("s"), Rule.COPY, 409), (delete("s"), Rule.FOLLOW, 404)],
)
async def test_what_is_done_already_is_no_rejection(change: Change[Document], rule: Rule, status: int) -> None:
    bench = Bench()
    bench.container.fault = lambda _operation, _ids: refusal(status)
    assert await bench.write([change], rule) == []


@pytest.mark.parametrize(
    ("change", "rule", "status"),
    [
        (upsert("s"), Rule.FOLLOW, 409),
        (upsert("s"), Rule.COPY, 413),
        (delete("s"), Rule.FOLLOW, 400),
        (upsert("s"), Rule.FOLLOW, 404),
    ],
)
async def test_what_the_service_never_takes_is_rejected(change: Change[Document], rule: Rule, status: int) -> None:
    bench = Bench()
    bench.container.fault = lambda _operation, _ids: refusal(status)
    (rejection,) = await bench.write([change], rule)
    assert rejection.key == change.key
    assert f"status {status}/0" in rejection.reason


@pytest.mark.parametrize("status", [403, 408, 410, 429, 449, 500, 503])
async def test_what_passes_is_repeated_until_it_has(status: int) -> None:
    """As a batch and alone: no row is torn out of its batch because the service was busy."""
    bench = Bench()
    failures = [containers.batch_failure(status), refusal(status), refusal(status)]
    bench.container.fault = lambda operation, _ids: failures.pop() if failures and operation == "batch" else None
    assert await bench.write([upsert(f"s{n}") for n in range(5)], Rule.FOLLOW) == []
    assert bench.requests() == ["batch"] * 4


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [1, 3])
def test_time_that_passes_before_a_write_is_taken_is_not_added(together: int) -> None:
    """A target that is away for minutes does not keep records for minutes longer."""

    @in_virtual_time
    async def run() -> None:
        bench = Bench(backoff=Backoff(1.0, 1.0))
        away_until = elapsed_s() + 600

        def away(_operation: str, _ids: list[str]) -> Exception | None:
            return refusal(503) if elapsed_s() < away_until else None

        bench.container.fault = away
        changes = [upsert(f"s{n}", expires_at=NOW + HOUR) for n in range(together)]
        assert await bench.write(changes, Rule.FOLLOW) == []
        for body in bench.container.held():
            assert 3600 - 600 - 2 <= body["ttl"] <= 3600 - 600

    run()


def test_the_written_document_is_otherwise_the_one_that_was_mapped() -> None:
    change = upsert("s", expires_at=NOW + HOUR)
    first, later = (as_write(change, Rule.FOLLOW, RULES, now) for now in (NOW, NOW + HOUR / 2))
    assert first is not None
    assert later is not None
    assert {**first.document.body, "ttl": 1800} == later.document.body
    assert replace(first, document=later.document) == Write(change.key, Action.UPSERT, later.document)

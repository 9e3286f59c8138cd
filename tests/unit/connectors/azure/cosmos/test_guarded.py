"""Promises of guarded writes: what moved on is not overwritten, what is equal not written, every key has an outcome."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.azure.cosmos.guarded import Guarded, fingerprint
from connectors.azure.cosmos.sidecar import SIDECAR
from fakes.containers import refusal
from fakes.cosmos_bench import NOW, RULES, CosmosBench, delete, key, upsert
from replicator.documents import Document
from replicator.model import ABSENT, Change, GuardedResult, Observed, Rule

HOUR = timedelta(hours=1)


class Bench(CosmosBench):
    """Guarded reads and writes of a container."""

    def __init__(self) -> None:
        super().__init__()
        self.guarded = Guarded(self.container, self.calls, RULES)

    async def observe(self, *sks: str) -> dict[str, Observed]:
        return await self.guarded.observe([key(sk) for sk in sks])

    async def replace(
        self, *changes: Change[Document], seen: dict[str, Observed] | None = None, rule: Rule = Rule.FOLLOW
    ) -> GuardedResult:
        observed = await self.guarded.observe([c.key for c in changes]) if seen is None else seen
        self.container.asked.clear()
        return await self.guarded.replace({c.key: c for c in changes}, observed, rule)


async def test_what_is_observed_tells_what_is_there() -> None:
    bench = Bench()
    bench.put(upsert("ours", 1))
    bench.put(delete("dead"), Rule.OVERLAP)
    bench.put(upsert("held", expires_at=NOW + HOUR), Rule.OVERLAP)
    bench.container.put({"id": "theirs", "pk": "a", "sk": "theirs"})
    observed = await bench.observe("ours", "dead", "held", "theirs", "absent")
    assert observed[key("absent")] == ABSENT
    assert all(observed[key(sk)].guard is not None for sk in ("ours", "dead", "held", "theirs"))
    assert observed[key("ours")].digest is not None
    assert [observed[key(sk)].digest for sk in ("dead", "held", "theirs")] == [None] * 3, "each is to be written anew"


async def test_a_read_is_repeated_until_it_is_answered() -> None:
    bench = Bench()
    bench.put(upsert("s"))
    failures = [refusal(503), refusal(429), refusal(404, 1002), refusal(404, 1003)]
    bench.container.fault = lambda _operation, _ids: failures.pop() if failures else None
    assert (await bench.observe("s"))[key("s")].guard is not None


async def test_equal_records_are_not_written() -> None:
    bench = Bench()
    bench.put(upsert("s", 1))
    newer_of_the_same = replace(upsert("s", 1), version="other", committed_at=NOW + HOUR)
    assert await bench.replace(newer_of_the_same) == GuardedResult()
    assert bench.requests() == []


@pytest.mark.parametrize(
    "change",
    [upsert("s", 2), upsert("s", 1, expires_at=NOW + HOUR), delete("s")],
    ids=["another value", "another expiry", "a delete"],
)
async def test_different_records_are_written_on_the_condition_that_they_are_as_seen(change: Change[Document]) -> None:
    bench = Bench()
    bench.put(upsert("s", 1))
    seen = await bench.observe("s")
    bench.put(upsert("s", 3))
    assert (await bench.replace(change, seen=seen)).conflicts == (key("s"),)
    assert bench.numbers() == {"s": "3"}
    assert await bench.replace(change) == GuardedResult()
    assert bench.numbers() == ({} if change.operation == "delete" else {"s": change.record["n"]})


async def test_what_was_not_there_is_created_and_never_overwrites() -> None:
    bench = Bench()
    seen = await bench.observe("s")
    bench.put(upsert("s", 3))
    assert (await bench.replace(upsert("s", 1), seen=seen)).conflicts == (key("s"),)
    assert bench.numbers() == {"s": "3"}


async def test_what_is_gone_meanwhile_is_a_conflict() -> None:
    bench = Bench()
    bench.put(upsert("s", 1))
    seen = await bench.observe("s")
    bench.container.documents.clear()
    assert (await bench.replace(upsert("s", 2), seen=seen)).conflicts == (key("s"),)
    assert (await bench.replace(delete("s"), seen=seen)).conflicts == (key("s"),)


async def test_a_delete_of_nothing_does_nothing_unless_rows_are_still_copied() -> None:
    bench = Bench()
    assert await bench.replace(delete("s")) == GuardedResult()
    assert bench.requests() == []
    assert await bench.replace(delete("s"), rule=Rule.OVERLAP) == GuardedResult()
    (tombstone,) = bench.container.held()
    assert tombstone[SIDECAR]["deleted"] is True


async def test_a_record_past_its_expiry_is_deleted() -> None:
    bench = Bench()
    bench.put(upsert("s", 1))
    assert await bench.replace(upsert("s", 2, expires_at=NOW - HOUR)) == GuardedResult()
    assert bench.container.held() == []


@pytest.mark.parametrize("status", [400, 413])
async def test_what_the_service_never_takes_is_rejected_and_the_others_go_on(status: int) -> None:
    bench = Bench()
    bench.container.fault = lambda operation, ids: refusal(status) if operation != "read" and ids == ["bad"] else None
    result = await bench.replace(upsert("bad"), upsert("good"))
    (rejection,) = result.rejections
    assert rejection.key == key("bad")
    assert f"status {status}/0" in rejection.reason
    assert set(bench.numbers()) == {"good"}


async def test_what_can_never_be_a_document_is_rejected_and_the_others_go_on() -> None:
    bench = Bench()
    huge = replace(upsert("bad"), record={"pk": "a", "sk": "bad", "n": "x" * 2_200_000})
    result = await bench.replace(huge, upsert("good"))
    assert [(r.key, r.reason[:18]) for r in result.rejections] == [(key("bad"), "the document takes")]
    assert set(bench.numbers()) == {"good"}


@pytest.mark.parametrize("lands", [True, False])
async def test_an_unknown_outcome_is_a_conflict(lands: bool) -> None:
    """Reported only when the lifetime of the request is over: nothing of it can take effect later."""
    bench = Bench()
    bench.put(upsert("s", 1))
    seen = await bench.observe("s")

    def lose(operation: str, _: list[str]) -> Exception | None:
        if operation == "replace" and lands:
            bench.put(upsert("s", 2))
        return refusal(503) if operation == "replace" else None

    bench.container.fault = lose
    assert (await bench.replace(upsert("s", 2), seen=seen)).conflicts == (key("s"),)
    assert bench.requests() == ["replace"], "not repeated: it may have taken effect"


@pytest.mark.parametrize("status", [410, 429, 449])
async def test_what_surely_had_no_effect_is_repeated(status: int) -> None:
    bench = Bench()
    bench.put(upsert("s", 1))
    failures = [refusal(status)] * 3
    bench.container.fault = lambda operation, _: failures.pop() if failures and operation == "replace" else None
    assert await bench.replace(upsert("s", 2)) == GuardedResult()
    assert bench.numbers() == {"s": "2"}


def body_of(change: Change[Document], rule: Rule = Rule.FOLLOW) -> dict[str, object]:
    bench = Bench()
    bench.put(change, rule)
    (body,) = bench.container.held()
    return body


def test_a_fingerprint_is_of_value_and_expiry_alone() -> None:
    one = fingerprint(body_of(upsert("s", 1, expires_at=NOW + HOUR)))
    again = replace(upsert("s", 1, expires_at=NOW + HOUR), version="9", committed_at=None)
    assert fingerprint(body_of(again)) == one
    assert fingerprint({**body_of(again), "_etag": "x", "_ts": 1, "ttl": 5}) == one
    assert fingerprint(body_of(upsert("s", 2, expires_at=NOW + HOUR))) != one
    assert fingerprint(body_of(upsert("s", 1))) != one
    assert fingerprint({**body_of(again), "n": "changed"}) != one


def test_what_is_not_as_we_would_write_it_has_no_fingerprint() -> None:
    plain = body_of(upsert("s", 1))
    assert fingerprint({"id": "s", "pk": "a"}) is None
    assert fingerprint({**plain, SIDECAR: {"v": 1}}) is None
    assert fingerprint(body_of(delete("s"), Rule.OVERLAP)) is None
    assert fingerprint(body_of(upsert("s", expires_at=NOW + HOUR), Rule.OVERLAP)) is None

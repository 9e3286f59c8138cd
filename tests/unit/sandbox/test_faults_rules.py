"""Which requests a rule strikes, how often, and what the counters say."""

from __future__ import annotations

import random

import anyio
import pytest
from pydantic import ValidationError

from sandbox.faults.counters import Rate
from sandbox.faults.rewrite import Rewriter
from sandbox.faults.rules import Answer, CutAfter, CutBefore, Delay, Pass, RuleBook, RuleSpec
from sandbox.faults.wire import Message


def request(method: str = "POST", target: str = "/", body: bytes = b"", **headers: str) -> Message:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Message(f"{method} {target} HTTP/1.1", named, b"", body=body)


def strikes(book: RuleBook, message: Message) -> str | None:
    rule = book.choose(book.candidates(message), message)
    return rule.spec.action.kind if rule else None


@pytest.mark.parametrize(
    ("spec", "struck", "spared"),
    [
        ({"method": "PUT"}, request("PUT"), request("POST")),
        ({"path": r"^/dbs/\w+/docs$"}, request(target="/dbs/d/docs"), request(target="/dbs/d/docs/1")),
        (
            {"headers": {"X-Amz-Target": r"\.GetRecords$"}},
            request(x_amz_target="DynamoDBStreams_20120810.GetRecords"),
            request(x_amz_target="DynamoDB_20120810.GetItem"),
        ),
        ({"headers": {"x-ms-version": "."}}, request(x_ms_version="1"), request()),
        ({"body": '"id":"é"'}, request(body='{"id":"é"}'.encode()), request(body=b'{"id":"e"}')),
    ],
)
def test_a_rule_strikes_only_what_it_describes(spec: dict[str, object], struck: Message, spared: Message) -> None:
    book = RuleBook(random.Random(0))
    book.add(RuleSpec.model_validate({"action": CutBefore(), **spec}))
    assert (strikes(book, struck), strikes(book, spared)) == ("cut_before", None)


def test_skip_and_count_bound_a_rule() -> None:
    book = RuleBook(random.Random(0))
    rule = book.add(RuleSpec(action=CutBefore(), skip=1, count=2))
    assert [strikes(book, request()) for _ in range(5)] == [None, "cut_before", "cut_before", None, None]
    assert (rule.hits, rule.spent) == (2, True)


def test_probability_is_the_same_for_the_same_seed() -> None:
    def run(seed: int) -> list[str | None]:
        book = RuleBook(random.Random(seed))
        book.add(RuleSpec(action=CutBefore(), probability=0.3))
        return [strikes(book, request()) for _ in range(200)]

    assert run(1) == run(1) != run(2)
    assert 30 < sum(struck is not None for struck in run(1)) < 90


def test_the_oldest_rule_decides_and_pass_only_counts() -> None:
    book = RuleBook(random.Random(0))
    watch = book.add(RuleSpec(action=Pass()))
    first = book.add(RuleSpec(action=CutBefore()))
    book.add(RuleSpec(action=CutAfter()))
    assert strikes(book, request()) == "cut_before"
    first.lift()
    assert strikes(book, request()) == "cut_after"
    assert (watch.hits, watch.rate.peak_per_s) == (2, 2)


async def test_hits_can_be_awaited() -> None:
    book = RuleBook(random.Random(0))
    rule = book.add(RuleSpec(action=CutBefore()))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rule.wait_for_hits, 2)
        await anyio.wait_all_tasks_blocked()
        strikes(book, request())
        strikes(book, request())
    assert rule.hits == 2


def test_a_rule_reads_the_same_as_json() -> None:
    spec = RuleSpec.model_validate_json(
        '{"action": {"kind": "answer", "status": 429, "headers": {"x-ms-retry-after-ms": "5"}, "body": "{}"},'
        ' "method": "POST", "path": "/docs", "count": 3}'
    )
    assert spec.action == Answer(status=429, headers={"x-ms-retry-after-ms": "5"}, body=b"{}")
    assert RuleSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    "spec",
    [
        {"action": {"kind": "explode"}},
        {"action": Delay(seconds=1), "count": 0},
        {"action": Delay(seconds=1), "path": "("},
        {"action": Delay(seconds=1), "verb": "GET"},
        {"action": {"kind": "delay", "seconds": -1}},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(spec: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RuleSpec.model_validate(spec)


def test_the_peak_rate_is_taken_over_any_window_of_a_second() -> None:
    instants = iter([0.0, 0.6, 0.9, 1.1, 1.5, 9.0, 9.1])
    rate = Rate(clock=lambda: next(instants))
    for _ in range(7):
        rate.count()
    assert rate.peak_per_s == 4  # 0.6 to 1.5, although no second from 0 on has more than three
    assert len(rate._recent) == 2


def response(body: bytes, **headers: str) -> Message:
    head = b"HTTP/1.1 200 OK\r\nX-AMZ-CRC32: 1\r\nContent-Length: %d\r\n\r\n" % len(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Message("HTTP/1.1 200 OK", named, head, length=len(body), body=body)


def test_the_targets_address_becomes_the_proxys() -> None:
    account = response(b'["http://127.0.0.1:81/", "http://localhost:81/x"]', content_type="application/json")
    rewriter = Rewriter("127.0.0.1", 81, "127.0.0.1", 9999)
    assert rewriter.concerns(account)
    rewriter.rewrite(account)
    assert account.body == b'["http://127.0.0.1:9999/", "http://127.0.0.1:9999/x"]'
    assert account.head == b"HTTP/1.1 200 OK\r\nContent-Length: 53\r\n\r\n"


def test_other_bodies_pass_untouched() -> None:
    rewriter = Rewriter("127.0.0.1", 81, "127.0.0.1", 9999)
    assert not rewriter.concerns(response(b"http://127.0.0.1:81", content_type="application/octet-stream"))
    assert not rewriter.concerns(response(b"x", content_type="text/xml", content_encoding="gzip"))
    other = response(b'"http://127.0.0.1:8/"', content_type="application/json")
    before = other.head
    rewriter.rewrite(other)
    assert (other.head, other.body) == (before, b'"http://127.0.0.1:8/"')

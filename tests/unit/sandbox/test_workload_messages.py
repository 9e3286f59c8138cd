"""Awkward messages are legal; a sender remembers what it sent; what arrives is judged by that."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from botocore.exceptions import ClientError

from fakes.lossy import Lossy
from sandbox.workload import MessageAttribute, NewMessage, Sender, Sent, WorkloadError, calls
from sandbox.workload.arrivals import Arrival, Arrivals, is_value, shows
from sandbox.workload.awkward_messages import awkward_messages, portable_messages
from sandbox.workload.messages import SentMessage, body_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MIB = 1024 * 1024
ALLOWED = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
TYPE = re.compile(r"(String|Number|Binary)(\.[A-Za-z0-9_.-]+)?")
GROUP = re.compile(r"[\x21-\x7e]{1,128}")
AWKWARD = list(awkward_messages())


# --- the corpus -------------------------------------------------------------------------------------------------------


def test_there_are_many_awkward_messages_each_with_a_label_of_its_own() -> None:
    assert len({label for label, _ in AWKWARD}) == len(AWKWARD) >= 60
    assert [label for label, message in AWKWARD if message == NewMessage("x")] == ["body: one character"]


@pytest.mark.parametrize(("label", "message"), AWKWARD, ids=[label for label, _ in AWKWARD])
def test_an_awkward_message_is_one_that_sqs_takes(label: str, message: NewMessage) -> None:
    assert message.size_bytes <= MIB
    assert ALLOWED.fullmatch(message.body)
    assert len(message.attributes) <= 10
    for name, attribute in message.attributes.items():
        assert NAME.fullmatch(name), name
        assert TYPE.fullmatch(attribute.type), attribute.type
        assert len(attribute.type) <= 256
        assert isinstance(attribute.value, bytes) == attribute.type.startswith("Binary")
        assert attribute.value
        if isinstance(attribute.value, str):
            assert ALLOWED.fullmatch(attribute.value)
        if attribute.type.startswith("Number"):
            assert len(re.sub(r"[Ee].*|\D", "", str(attribute.value)).strip("0")) <= 38
            assert Decimal(str(attribute.value)).copy_abs() < Decimal("1E126")
    assert message.group is None or GROUP.fullmatch(message.group)


def test_the_corpus_reaches_the_limits() -> None:
    assert max(message.size_bytes for _, message in AWKWARD) == MIB
    assert {message.size_bytes for _, message in AWKWARD} >= {256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, MIB - 1}
    assert max(len(message.attributes) for _, message in AWKWARD) == 10
    assert max(len(message.group or "") for _, message in AWKWARD) == 128
    assert max(len(name) for _, message in AWKWARD for name in message.attributes) == 256
    everything = "".join(message.body for _, message in AWKWARD)
    assert set("\t\n\r\x7f\ud7ff\ue000\ufffd\U0010ffff") <= set(everything)


def test_portable_messages_are_those_of_a_small_queue() -> None:
    portable = dict(portable_messages())
    assert max(message.size_bytes for message in portable.values()) <= 200_000
    assert len(portable) >= 60
    assert "attributes: text of 40 KB" not in portable
    assert "attributes: 80 KB together" not in portable
    assert "body: 256 KiB" not in portable


# --- the sender -------------------------------------------------------------------------------------------------------


class FakeSqs:
    """Takes messages; a FIFO queue by their deduplication ids. Of a batch it does not take what `refuses`."""

    def __init__(self, refuses: Callable[[Mapping[str, Any]], bool | None] = lambda _: None) -> None:
        self.stored: dict[str, Mapping[str, Any]] = {}
        self.requests = 0
        self._by_deduplication: dict[str, str] = {}
        self._refuses = refuses

    async def send_message(self, **request: Any) -> dict[str, Any]:
        self.requests += 1
        return self._store(request)

    async def send_message_batch(self, **request: Any) -> dict[str, Any]:
        self.requests += 1
        failed, successful = [], []
        for entry in request["Entries"]:
            if (senders_fault := self._refuses(entry)) is not None:
                failed.append({"Id": entry["Id"], "Code": "Refused", "SenderFault": senders_fault})
            else:
                successful.append({"Id": entry["Id"], **self._store(entry)})
        return {"Successful": successful, **({"Failed": failed} if failed else {})}

    def _store(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        number = len(self.stored)
        message_id = self._by_deduplication.setdefault(entry.get("MessageDeduplicationId", str(number)), f"m{number}")
        self.stored.setdefault(message_id, {name: value for name, value in entry.items() if name != "QueueUrl"})
        if "MessageDeduplicationId" not in entry:
            return {"MessageId": message_id}
        return {"MessageId": message_id, "SequenceNumber": f"{int(message_id[1:]):020d}"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_PAUSE_S", 0.0)


def sender_to(queue: Any, url: str = "http://x/orders", **options: Any) -> Sender:
    return Sender(queue, url, rate_per_s=1e9, **options)


def agrees(sender: Sender, queue: FakeSqs) -> bool:
    bodies = {message_id: body_digest(entry["MessageBody"].encode()) for message_id, entry in queue.stored.items()}
    return {message_id: sent.body for message_id, sent in sender.sent.messages.items()} == bodies


async def test_the_same_seed_sends_the_same() -> None:
    first, second, other = FakeSqs(), FakeSqs(), FakeSqs()
    await sender_to(first).run(operations=100)
    await sender_to(second).run(operations=100)
    await sender_to(other, seed=1).run(operations=100)
    assert first.stored == second.stored != other.stored


async def test_messages_are_of_every_kind_and_remembered() -> None:
    queue = FakeSqs()
    sender = sender_to(queue)
    await sender.run(operations=300)
    assert agrees(sender, queue)
    assert sender.counts.messages == len(queue.stored)
    assert queue.requests == 300
    assert sender.counts.delayed == sum("DelaySeconds" in entry for entry in queue.stored.values()) > 20
    assert sender.counts.batches > 20
    assert max(Counter(entry["MessageBody"] for entry in queue.stored.values()).values()) > 5
    kinds = {one["DataType"] for entry in queue.stored.values() for one in entry.get("MessageAttributes", {}).values()}
    assert {kind.partition(".")[0] for kind in kinds} == {"String", "Number", "Binary"}
    assert any("AWSTraceHeader" in entry.get("MessageSystemAttributes", {}) for entry in queue.stored.values())
    assert not any("MessageGroupId" in entry for entry in queue.stored.values())
    assert not sender.sent.ordered
    assert sender.last_sent_at is not None


async def test_a_fifo_queue_gets_groups_and_deduplication_ids_and_no_delays() -> None:
    queue = FakeSqs()
    sender = sender_to(queue, "http://x/orders.fifo", groups=3)
    await sender.run(operations=100)
    await sender.send([NewMessage("late", delay_s=5)])
    assert sender.sent.ordered
    assert {entry["MessageGroupId"] for entry in queue.stored.values()} == {"group-0", "group-1", "group-2", "none"}
    assert len({entry["MessageDeduplicationId"] for entry in queue.stored.values()}) == len(queue.stored)
    assert not any("DelaySeconds" in entry for entry in queue.stored.values())
    assert [sent.number for sent in sender.sent.messages.values()] == list(range(len(queue.stored)))


async def test_what_is_lost_on_the_way_is_sent_again() -> None:
    """To a FIFO queue once, to a standard queue perhaps twice: then the second is known as doubtful."""
    for url in ("http://x/orders", "http://x/orders.fifo"):
        queue = FakeSqs()
        lossy = Lossy(queue, "send_message", "send_message_batch")
        sender = sender_to(lossy, url)
        await sender.run(operations=200)
        assert sender.counts.ambiguous == lossy.lost > 20
        assert sender.sent.messages.keys() <= queue.stored.keys()
        unknown = Counter(
            body_digest(entry["MessageBody"].encode())
            for message_id, entry in queue.stored.items()
            if message_id not in sender.sent.messages
        )
        assert unknown <= sender.sent.doubtful
        assert bool(unknown) != sender.sent.ordered
        assert bool(sender.sent.doubtful) != sender.sent.ordered


async def test_one_that_is_cancelled_while_it_is_sent_is_doubtful() -> None:
    class Silent(FakeSqs):
        async def send_message(self, **request: Any) -> dict[str, Any]:
            self._store(request)
            await anyio.sleep_forever()
            raise AssertionError

    sender = sender_to(Silent(), "http://x/orders.fifo")
    with anyio.move_on_after(0.01):
        await sender.send([NewMessage("x")])
    assert sender.sent.doubtful == {body_digest(b"x"): 1}


async def test_the_rest_of_a_batch_is_sent_again() -> None:
    refused = set()

    def once(entry: Mapping[str, Any]) -> bool | None:
        if entry["MessageBody"] in {"b", "d"} and entry["Id"] not in refused:
            refused.add(entry["Id"])
            return False
        return None

    queue = FakeSqs(once)
    sender = sender_to(queue, "http://x/orders.fifo")
    await sender.send([NewMessage(body) for body in "abcd"])
    assert [entry["MessageBody"] for entry in queue.stored.values()] == ["a", "c", "b", "d"]
    assert agrees(sender, queue)
    in_order = sorted(sender.sent.messages, key=lambda message_id: sender.sent.messages[message_id].number)
    assert in_order == list(queue.stored)  # as the queue has them, not as they were to be sent


async def test_what_a_queue_will_never_take_is_no_message() -> None:
    with pytest.raises(WorkloadError, match="refuses a message: Refused"):
        await sender_to(FakeSqs(lambda _: True)).send([NewMessage("a"), NewMessage("b")])

    class Strict(FakeSqs):
        async def send_message(self, **request: Any) -> dict[str, Any]:
            answer: Any = {"Error": {"Code": "InvalidMessageContents"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, "SendMessage")

    with pytest.raises(ClientError):
        await sender_to(Strict()).send([NewMessage("a")])


# --- arrivals ---------------------------------------------------------------------------------------------------------

ATTRIBUTES = {"a": MessageAttribute("String", "x"), "n": MessageAttribute("Number", "1.50")}


def sent_messages(*, ordered: bool = True) -> Sent:
    """Two groups of three: a0 b0 a1 b1 a2 b2."""
    messages = {
        f"{group}{number}": SentMessage(body_digest(f"{group}{number}".encode()), ATTRIBUTES, group, number)
        for number in range(3)
        for group in "ab"
    }
    return Sent(ordered, messages)


def arrived(message_id: str, **changes: Any) -> Arrival:
    made = Arrival(message_id, body_digest(message_id.encode()), {"a": "x", "n": 1.5}, message_id[0])
    return replace(made, **changes)


def judged(sent: Sent, *arrivals: Arrival | str) -> tuple[dict[str, int], list[str]]:
    """The counts that are not zero, without that of all, and the examples."""
    judge = Arrivals(sent)
    for one in arrivals:
        judge.take(arrived(one) if isinstance(one, str) else one)
    outcome = judge.outcome()
    assert outcome.received == len(arrivals)
    wrong = ("missing", "extra", "different", "disordered", "duplicates", "repeated")
    counts = {name: count for name in wrong if (count := getattr(outcome, name))}
    assert outcome.is_right == (counts.keys() <= {"duplicates", "repeated"})
    return counts, outcome.named


ALL = ("a0", "b0", "a1", "b1", "a2", "b2")


def test_everything_in_order_is_right() -> None:
    assert judged(sent_messages(), *ALL) == ({}, [])
    assert judged(sent_messages(), *sorted(ALL)) == ({}, [])  # groups have no order between them


def test_a_missing_message_is_named() -> None:
    assert judged(sent_messages(), *ALL[:-1]) == ({"missing": 1}, ["b2 is missing"])


def test_a_message_that_was_never_sent_is_named() -> None:
    assert judged(sent_messages(), *ALL, arrived("c0")) == ({"extra": 1}, ["c0 was never sent"])


def test_one_that_may_have_been_sent_twice_is_counted() -> None:
    sent = sent_messages(ordered=False)
    sent.doubtful[body_digest(b"a0")] = 1
    again = [arrived(other, body=body_digest(b"a0")) for other in ("x", "y")]
    assert judged(sent, *ALL, again[0]) == ({"repeated": 1}, [])
    assert judged(sent, *ALL, *again) == ({"extra": 1, "repeated": 1}, ["y was never sent"])


def test_a_duplicate_is_counted_wherever_it_comes() -> None:
    assert judged(sent_messages(), *ALL, "a0", "a2") == ({"duplicates": 2}, [])


def test_disorder_within_a_group_is_named() -> None:
    counts, named = judged(sent_messages(), "a1", "a0", "a2", "b0", "b1", "b2")
    assert (counts, named) == ({"disordered": 1}, ["a0 came after a later one of group a"])
    counts, _ = judged(sent_messages(), "a2", "a0", "a1", "b0", "b1", "b2")
    assert counts == {"disordered": 2}  # both, although the later of them came after the earlier
    assert judged(sent_messages(ordered=False), *reversed(ALL)) == ({}, [])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"body": body_digest(b"other")}, "a0 has another body"),
        ({"group": "b"}, "a0 has another group"),
        ({"properties": {"a": "x"}}, "a0 has another set of attributes"),
        ({"properties": {"a": "x", "n": 1.25}}, "a0 has another set of attributes"),
        ({"properties": {"a": "x", "n": 1.5, "b": "y"}}, "a0 has another set of attributes"),
        ({"body": b"", "properties": {}}, "a0 has another body and set of attributes"),
    ],
)
def test_a_message_that_has_changed_is_named(changes: dict[str, Any], named: str) -> None:
    counts, examples = judged(sent_messages(), arrived("a0", **changes), *ALL[1:])
    assert (counts, examples) == ({"different": 1}, [named])


def test_the_group_of_a_queue_without_order_does_not_matter() -> None:
    assert judged(sent_messages(ordered=False), *(arrived(one, group=None) for one in ALL)) == ({}, [])


def test_examples_are_few() -> None:
    messages = {str(n): SentMessage(b"", {}, None, n) for n in range(1000)}
    counts, named = judged(Sent(messages=messages))
    assert counts == {"missing": 1000}
    assert len(named) == 20


def test_properties_of_replicator_are_passed_over() -> None:
    ours = {"replicator_sent_at": "x", "Diagnostic-Id": "y", "traceparent": "y"}
    assert shows(ATTRIBUTES, {"a": "x", "n": 1.5, **ours})
    named = {"replicator_sent_at": MessageAttribute("String", "mine")}
    assert shows(named, {"replicator_attribute_replicator_sent_at": "mine", **ours})
    assert not shows(named, ours)
    assert not shows({"traceparent": MessageAttribute("String", "mine")}, ours)


@pytest.mark.parametrize(
    ("kind", "value", "shown", "same"),
    [
        ("String", "1", "1", True),
        ("String", "1", 1, False),
        ("Number", "1", 1, True),
        ("Number", "1", "1", True),
        ("Number", "1", True, False),
        ("Number", "1.50", 1.5, True),
        ("Number", "1.50", "1.5", False),
        ("Number.int", "9007199254740993", 9007199254740993, True),
        ("Number", "9007199254740993", 9007199254740992.0, False),
        ("Number", "x", 1, False),
        ("Number", "1", None, False),
        ("Number", "1", b"1", False),
        ("Binary", b"\x00\xff", "AP8=", True),
        ("Binary", b"\x00\xff", b"\x00\xff", True),
        ("Binary", b"\x00\xff", "AP8", False),
        ("Binary", b"1", 1, False),
    ],
)
def test_values_are_compared_as_a_consumer_finds_them(kind: str, value: Any, shown: Any, *, same: bool) -> None:
    assert is_value(MessageAttribute(kind, value), shown) is same

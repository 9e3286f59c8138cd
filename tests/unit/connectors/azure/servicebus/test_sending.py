"""Promises of the sender: order within a group whatever fails, nothing lost, as few requests as the limits allow.

Against a queue of ten lines that takes a batch as a whole or not at all, and can lose answers; in virtual time.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import pytest

from connectors.azure.servicebus.errors import MessageRefusal
from connectors.azure.servicebus.links import Link, Open
from connectors.azure.servicebus.mapping import Outgoing
from connectors.azure.servicebus.sending import IDLE_S, MOST_TOGETHER, Parcel, Sending, units
from fakes.virtual import in_virtual_time
from replicator.delivery import AdaptiveLimiter, Backoff, Delivery, Fence, RateBudget
from replicator.errors import AmbiguousError, ThrottledError, TransientError
from replicator.telemetry import Metrics, PipelineTelemetry

TIMEOUT_S = 1.0
KB = 1024


@dataclass
class Queue:
    """What arrives, in order; `fate` says what becomes of each request."""

    fate: Callable[[Sequence[Outgoing]], str] = lambda _: "taken"
    detects: bool = True
    opened: int = 0
    takes_bytes: int = 256 * KB
    held: list[Outgoing] = field(default_factory=list)
    requests: list[list[str]] = field(default_factory=list)
    doubted: list[int] = field(default_factory=list)

    async def open(self) -> "QueueLink":
        self.opened += 1
        return QueueLink(self, self.takes_bytes)

    def take(self, messages: Sequence[Outgoing]) -> None:
        known = {m.message_id for m in self.held} if self.detects else set()
        self.held += [m for m in messages if m.message_id not in known]

    @property
    def ids(self) -> list[str]:
        return [m.message_id for m in self.held]


@dataclass
class QueueLink:
    """One link; using it twice at once is a mistake, as it is with the SDK's."""

    queue: Queue
    max_message_bytes: int = 256 * KB
    max_batch_bytes: int = 256 * KB
    usable: bool = True
    in_use: bool = False

    async def send(self, messages: Sequence[Outgoing]) -> None:
        assert self.usable
        assert not self.in_use
        self.in_use = True
        self.queue.requests.append([m.message_id for m in messages])
        fate = self.queue.fate(messages)
        await anyio.sleep(0.001)
        if fate in {"taken", "lost", "hung"}:
            self.queue.take(messages)
        if fate in {"hung", "stalled"}:
            await anyio.sleep_forever()
        self.in_use = False
        if fate in {"lost", "cut"}:
            raise AmbiguousError("connection lost")
        if fate == "refused":
            raise MessageRefusal("not allowed")
        if fate == "busy":
            raise ThrottledError("busy")

    async def close(self) -> None:
        self.usable = False


def sending(queue: Queue, senders: int = 4, open_link: Open | None = None) -> Sending:
    """With a delivery that tries again soon."""
    fence = Fence(10.0)
    fence.extend(float("inf"))
    delivery = Delivery(
        limiter=AdaptiveLimiter(8),
        budget=RateBudget(None),
        fence=fence,
        timeout_s=TIMEOUT_S,
        telemetry=PipelineTelemetry(Metrics(), "jobs"),
        backoff=Backoff(0.001, 0.01),
    )
    return Sending(open_link or queue.open, delivery, senders, queue.doubted.append)


def parcel(id_: str, group: str | None = None, size: int = 10) -> Parcel:
    return Parcel(id_, Outgoing(id_, b"x" * size, group), group)


def numbered(group: str, count: int) -> list[Parcel]:
    return [parcel(f"{group}{n}", group) for n in range(count)]


@in_virtual_time
async def test_the_culprit_of_a_refused_batch_is_found_and_blocks_only_its_group() -> None:
    queue = Queue(lambda messages: "refused" if any(m.message_id == "a5" for m in messages) else "taken")
    parcels = [p for pair in zip(numbered("a", 10), numbered("b", 10), strict=True) for p in pair]
    rejections = {r.key: r.reason for r in await sending(queue, 1).send(parcels)}
    assert list(rejections) == ["a5", "a6", "a7", "a8", "a9"]
    assert "refuses the message: not allowed" in rejections["a5"]
    behind = {rejections[f"a{n}"] for n in range(6, 10)}
    assert not [reason for reason in behind if "a5" in reason], "keys may be secret, and only its own is hidden"
    assert all("waits behind an earlier message of its group" in reason for reason in behind)
    assert [i for i in queue.ids if i[0] == "a"] == [f"a{n}" for n in range(5)]
    assert [i for i in queue.ids if i[0] == "b"] == [f"b{n}" for n in range(10)]


@in_virtual_time
async def test_a_message_without_a_group_blocks_nothing() -> None:
    queue = Queue(lambda messages: "refused" if any(m.message_id == "3" for m in messages) else "taken")
    rejections = await sending(queue).send([parcel(str(n)) for n in range(8)])
    assert [r.key for r in rejections] == ["3"]
    assert sorted(queue.ids) == ["0", "1", "2", "4", "5", "6", "7"]


@pytest.mark.parametrize("detects", [True, False])
@pytest.mark.parametrize("seed", range(8))
@in_virtual_time
async def test_order_is_kept_and_nothing_lost_whatever_fails(seed: int, detects: bool) -> None:
    """With duplicate detection each arrives once and in order; without it, the first of each does."""
    chance = random.Random(seed)
    fates = ["taken", "lost", "cut", "busy", "hung", "stalled"]
    queue = Queue(lambda _: chance.choices(fates, [6, 1, 1, 1, 0.3, 0.3])[0], detects=detects)
    sender = sending(queue, 3)
    groups = [numbered(f"g{g}-", 40) for g in range(7)]
    async with anyio.create_task_group() as tasks:
        for start in range(0, 40, 8):
            batch = [p for group in groups for p in group[start : start + 8]]
            tasks.start_soon(sender.send, batch + [parcel(f"{start}-{n}") for n in range(5)])
            await anyio.sleep(chance.random())
    first = list(dict.fromkeys(queue.ids))
    assert len(first) == 7 * 40 + 25
    assert not detects or queue.ids == first
    for group in range(7):
        mine = [int(i.partition("-")[2]) for i in first if i.startswith(f"g{group}-")]
        assert all(one < other for one, other in pairwise(mine))


@in_virtual_time
async def test_after_an_unknown_outcome_the_same_messages_go_again_before_any_other() -> None:
    fates = iter(["lost", "busy", "hung", "taken"])
    queue = Queue(lambda _: next(fates, "taken"))
    await sending(queue, 1).send([parcel(f"a{n}", "a", 100 * KB) for n in range(4)])
    assert queue.requests == [["a0", "a1"]] * 4 + [["a2", "a3"]]
    assert queue.doubted == [2, 2], "the lost one and the one without an answer"
    assert queue.ids == ["a0", "a1", "a2", "a3"]


@in_virtual_time
async def test_a_link_in_doubt_is_never_used_again_and_a_throttled_one_is() -> None:
    fates = iter(["busy", "taken", "cut", "taken"])
    queue = Queue(lambda _: next(fates))
    sender = sending(queue, 1)
    await sender.send([parcel("1")])
    assert queue.opened == 1
    await sender.send([parcel("2")])
    assert queue.opened == 2


@in_virtual_time
async def test_a_link_that_nobody_kept_alive_is_opened_anew() -> None:
    queue = Queue()
    sender = sending(queue, 1)
    for pause_s, opened in ((0, 1), (IDLE_S - 1, 1), (IDLE_S + 1, 2)):
        await anyio.sleep(pause_s)
        await sender.send([parcel(str(pause_s))])
        assert queue.opened == opened


@in_virtual_time
async def test_a_link_that_cannot_be_opened_leaves_nothing_in_doubt() -> None:
    queue = Queue()
    attempts = Counter[str]()

    async def open_link() -> Link:
        attempts["open"] += 1
        if attempts["open"] == 1:
            raise TransientError("busy")
        if attempts["open"] == 2:
            await anyio.sleep_forever()
        return await queue.open()

    sender = sending(queue, 1, open_link)
    begun = anyio.current_time()
    await sender.send([parcel("1")])
    assert TIMEOUT_S <= anyio.current_time() - begun < TIMEOUT_S + 0.1
    assert queue.ids == ["1"]
    assert sender._lanes[0]._delivery.suspects.latest == float("-inf")


@in_virtual_time
async def test_cancelling_leaves_no_link_in_doubt() -> None:
    fates = iter(["stalled", "taken"])
    queue = Queue(lambda _: next(fates))
    sender = sending(queue, 1)
    with anyio.move_on_after(TIMEOUT_S / 2):
        await sender.send([parcel("1")])
    await sender.send([parcel("2")])
    assert (queue.opened, queue.ids) == (2, ["2"])


def test_batches_keep_to_the_limits_and_are_as_full_as_they_allow() -> None:
    assert [len(u) for u in units([parcel(str(n)) for n in range(250)], 256 * KB)] == [MOST_TOGETHER] * 2 + [50]
    sizes = [100, 100, 100, 400, 100]
    parcels = [parcel(str(n), size=size * KB) for n, size in enumerate(sizes)]
    assert [[p.key for p in u] for u in units(parcels, 256 * KB)] == [["0", "1"], ["2"], ["3"], ["4"]]


def test_a_partitioned_queue_gets_batches_of_one_session() -> None:
    parcels = [parcel("a0", "a"), parcel("b0", "b"), parcel("1"), parcel("a1", "a"), parcel("2")]
    assert [[p.key for p in u] for u in units(parcels, 256 * KB, apart=True)] == [["1"], ["2"], ["a0", "a1"], ["b0"]]


@in_virtual_time
async def test_a_queue_that_takes_no_mixed_batches_gets_none_after_the_first() -> None:
    """As partitioned queues are, whose settings may not be known."""
    queue = Queue(lambda messages: "refused" if len({m.session_id for m in messages}) > 1 else "taken")
    sender = sending(queue, 1)
    for start in (0, 10):
        parcels = [parcel(f"{group}{n}", group) for n in range(start, start + 10) for group in "abc"]
        queue.requests.clear()
        assert await sender.send(parcels) == []
    assert [len(r) for r in queue.requests] == [10] * 3
    for group in "abc":
        assert [i for i in queue.ids if i[0] == group] == [f"{group}{n}" for n in range(20)]


@in_virtual_time
async def test_messages_without_a_group_fill_batches_and_use_all_senders() -> None:
    queue = Queue()
    sender = sending(queue, 4)
    await sender.send([parcel(str(n)) for n in range(10)])
    assert [len(r) for r in queue.requests] == [10]
    await sender.send([parcel(f"more{n}") for n in range(400)])
    assert [len(r) for r in queue.requests[1:]] == [100] * 4
    assert queue.opened == 4


@in_virtual_time
async def test_a_limit_that_was_raised_is_found_and_links_that_do_not_know_it_are_opened_anew() -> None:
    queue = Queue()
    sender = sending(queue, 1)
    await sender.send([parcel("1")])
    queue.takes_bytes = 1024 * KB
    await sender.look()
    assert sender.limits.message_bytes == 1024 * KB
    await sender.send([parcel("2")])
    assert queue.opened == 3
    await sender.look()
    await sender.send([parcel("3")])
    assert queue.opened == 3, "it was looked at a moment ago"

"""Promises of the ledger: a message that is forgotten at the source is at the target, a dead letter, or named."""

import anyio
import pytest

from fakes.queue import QueueRig
from fakes.rig import NAME
from fakes.virtual import in_virtual_time
from replicator.engine import ledger
from replicator.engine.ledger import Ledger
from replicator.engine.pipeline import Pipeline
from replicator.engine.rounds import Ask, Round
from replicator.engine.verifying import IN_HAND_S, LEDGER_SAVE_S
from replicator.messages import Message


def counts(forwarded: int = 0, refused: int = 0, in_hand: int = 0, lost: int = 0) -> dict[str, int]:
    return {"in_hand": in_hand, "forwarded": forwarded, "refused": refused, "lost": lost}


def test_each_message_has_one_fate() -> None:
    book = Ledger()
    book.received(["a", "b", "c"])
    assert book.counts == counts(in_hand=3)
    book.answered(["a", "b"], ["b"])
    book.settled(["a", "b"])
    assert book.counts == counts(forwarded=1, refused=1, in_hand=1)
    assert book.in_hand == {"c"}
    book.received(["b"])
    book.answered(["b"], [])
    assert book.counts == counts(forwarded=2, in_hand=1)


def test_what_is_settled_with_nothing_to_show_for_it_is_lost_for_good() -> None:
    book = Ledger()
    book.received(["a"])
    book.settled(["a"])
    assert book.counts == counts(lost=1)
    again = Ledger()
    again.read(book.write())
    assert list(again.lost) == ["a"]
    assert again.counts == counts(lost=1)


def test_a_second_delivery_of_what_is_being_settled_is_no_loss() -> None:
    book = Ledger()
    book.received(["a"])
    book.answered(["a"], [])
    book.received(["a"])
    book.settled(["a"])
    assert book.counts == counts(forwarded=1)


def test_the_window_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MOST_IDS", 10)
    book = Ledger()
    for number in range(50):
        book.received([f"m{number}"])
        book.answered([f"m{number}"], [])
    assert book.counts == counts(forwarded=10)
    assert len(book.write()) < 300


@pytest.mark.parametrize("text", [None, "", "{", '{"forwarded": 3}'])
def test_what_cannot_be_read_is_forgotten(text: str | None) -> None:
    book = Ledger()
    book.read(text)
    assert book.counts == counts()


async def verified(pipeline: Pipeline[Message]) -> Round:
    round_ = await pipeline.verify(Ask())
    while round_.ended_at is None:  # noqa: ASYNC110 — the fakes tell nobody
        await anyio.sleep(0.5)
    return round_


@in_virtual_time
async def test_a_queue_is_clean_when_all_was_forwarded_or_is_a_dead_letter() -> None:
    """Also after a restart, which remembers what was settled before."""
    rig = QueueRig()
    rig.sink.refuses = lambda message: "too large" if message.id == "m3" else None
    for _ in range(20):
        rig.queue.send()
    async with rig.store:
        for seen in (counts(forwarded=19, refused=1), counts(forwarded=20, refused=1)):
            pipeline = await rig.start()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pipeline.run)
                await anyio.sleep(LEDGER_SAVE_S + 5)
                found = await verified(pipeline)
                assert (found.is_clean, pipeline.verifying.ledger) == (True, seen)
                pipeline.drain()
            rig.queue.send()


@in_virtual_time
async def test_a_lost_message_is_a_difference_and_one_that_stays_in_hand_is_unsettled() -> None:
    rig = QueueRig()
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(2)
            pipeline._ledger.received(["gone", "slow"])
            pipeline._ledger.settled(["gone"])
            begun = anyio.current_time()
            found = await verified(pipeline)
            assert {key: each.kind for key, each in found.findings.items()} == {"gone": "lost", "slow": "in_hand"}
            assert (found.differences, found.unsettled, found.is_clean) == (1, 1, False)
            assert anyio.current_time() - begun >= IN_HAND_S
            assert await rig.store.load_note(NAME, "verification") is not None
            pipeline.drain()


@in_virtual_time
async def test_a_message_on_its_way_is_waited_for() -> None:
    rig = QueueRig()
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(2)
            pipeline._ledger.received(["slow"])

            async def arrive() -> None:
                await anyio.sleep(20)
                pipeline._ledger.answered(["slow"], [])

            tasks.start_soon(arrive)
            assert (await verified(pipeline)).is_clean
            pipeline.drain()

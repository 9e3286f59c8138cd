"""Promises of discarding dead letters, and of what is kept of them."""

from collections.abc import Sequence
from dataclasses import replace

import anyio
import pytest

from fakes.queue import QueueRig
from fakes.records import document, key_of, upsert
from fakes.rig import NAME, Rig
from fakes.virtual import in_virtual_time
from replicator.config.models import DeadLettersConfig
from replicator.documents import body_text
from replicator.engine.payloads import Payloads, read_from
from replicator.model import DeadLetter, Payload, Rejection
from replicator.naming import Naming
from replicator.registry import RecordKind

KEY = key_of("n0")


@in_virtual_time
async def test_a_discarded_message_is_settled_unsent_and_its_group_goes_on() -> None:
    rig = QueueRig()
    for _ in range(3):
        rig.queue.send(group="g")
    poison = rig.queue.sent[0].id
    rig.sink.refuses = lambda message: "no" if message.id == poison else None
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(5)
            letters = await rig.store.dead_letters_of(NAME, [poison])
            rig.sink.refuses = lambda _: None  # even where it would be taken now
            assert await pipeline.discard(letters) == 1
            with anyio.fail_after(2000):
                while rig.queue.waiting:  # noqa: ASYNC110 — the fakes tell nobody
                    await anyio.sleep(0.1)
            assert [m.id for m in rig.sink.passed] == [m.id for m in rig.queue.sent[1:]]
            assert await rig.store.dead_letters() == []
            assert (pipeline.verifying.ledger["forwarded"], pipeline.verifying.ledger["refused"]) == (2, 1)
            pipeline.drain()


@in_virtual_time
async def test_the_watermark_goes_on_and_a_later_change_that_is_refused_is_told_anew() -> None:
    rig = Rig()
    rig.excused = {KEY}
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.service.refuses = lambda change: "no" if change.key == KEY else None
        rig.table.put("n0")
        await rig.until(rig.caught_up)
        (letter,) = await rig.store.dead_letters()
        assert letter.payload.version
        assert letter.payload.reference is not None
        assert {"partition", "position"} <= set(letter.payload.reference)
        assert await pipeline.discard([letter]) == 1
        assert (await rig.store.dead_letter_summary(NAME)).count == 0
        rig.table.put("n0")
        await rig.until(rig.caught_up)
        (again,) = await rig.store.dead_letters()
        assert again.payload.version != letter.payload.version


@in_virtual_time
async def test_the_same_version_refused_again_stays_discarded_after_a_restart_too() -> None:
    rig = Rig()
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.converged()
            refused = [Rejection(KEY, "no", payload=Payload("v1"))]
            await pipeline._applier._keep("p", refused, {KEY: None})
            await pipeline.discard(await rig.store.dead_letters())
        async with rig.running() as pipeline:
            assert await pipeline._applier._keep("p", refused, {KEY: None}) == []
            assert await rig.store.dead_letters() == []
            unversioned = [replace(refused[0], payload=Payload())]
            assert len(await pipeline._applier._keep("p", unversioned, {KEY: None})) == 1


@in_virtual_time
async def test_it_is_known_as_discarded_from_the_moment_at_which_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also to whoever is refused the same while the store still answers."""
    rig = Rig()
    refused = [Rejection(KEY, "no", payload=Payload("v1"))]
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline._applier._keep("p", refused, {KEY: None})
        discard = rig.store.discard_dead_letters

        async def slow(letters: Sequence[DeadLetter]) -> int:
            closed = await discard(letters)
            assert await pipeline._applier._keep("p", refused, {KEY: None}) == []
            return closed

        monkeypatch.setattr(rig.store, "discard_dead_letters", slow)
        assert await pipeline.discard(await rig.store.dead_letters()) == 1
        assert await rig.store.dead_letters() == []


@in_virtual_time
async def test_one_refused_anew_since_it_was_looked_at_stays_open() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await rig.store.add_dead_letters(NAME, "p", [Rejection(KEY, "no", payload=Payload("v1"))])
        seen = await rig.store.dead_letters()
        await rig.store.add_dead_letters(NAME, "p", [Rejection(KEY, "no", payload=Payload("v2"))])
        assert await pipeline.discard(seen) == 0
        assert len(await rig.store.dead_letters()) == 1
        assert await rig.store.discarded(NAME) == {}


def test_what_is_kept_is_what_was_asked_for_and_bounded() -> None:
    change = upsert("n0", 1)
    kind = RecordKind(lambda _: {"where": "here"}, body_text)

    def kept(**config: object) -> Payload:
        return Payloads(kind, DeadLettersConfig.model_validate(config)).of(change)

    bare = Payload(change.version)
    assert kept(payloads="none") == bare
    assert kept() == replace(bare, reference={"where": "here"})
    assert kept(payloads="store").body == body_text(document("n0", 1))
    assert kept(payloads="store", max_payload_bytes=3) == kept()
    assert read_from(bare, "s0", "p") == bare
    assert read_from(kept(), "s0", None) == kept()


def test_names_are_stable_and_tell_nothing() -> None:
    naming, again, other = Naming(b"a"), Naming(b"a"), Naming(b"b")
    assert naming.key("k") == again.key("k") != other.key("k")
    assert naming.told(naming.key("k")) == naming.key("k")
    assert naming.told("key-jane") != "key-jane", "only what looks like a name of ours is one"
    assert naming.text("message k waits, not kk", ["k"]) == f"message {naming.key('k')} waits, not kk"
    assert naming.partition("keys:k:") != "keys:k:"
    plain = Naming()
    assert (plain.key("k"), plain.text("k", ["k"]), plain.partition("keys:k:")) == ("k", "k", "keys:k:")

"""Promise of the barrier: no answer before the target has the write, or a later one, and from then on nothing older."""

from dataclasses import dataclass, field

import anyio
import pytest

from fakes.bucket import BucketRig
from fakes.memory import FINE, NEVER_LANDS, Fate, lost, refused
from fakes.records import key_of
from fakes.rig import LIFETIME_S, NAME, Crash, Rig, faulty, load, reshard
from fakes.virtual import in_virtual_time
from replicator.engine import barrier
from replicator.engine.barrier import SETTLED, Verdict
from replicator.errors import ThrottledError
from replicator.model import Mode, Operation, Rejection
from replicator.naming import Naming

KEY = key_of("n0")
PATIENCE_S = 60.0
HOT = "hot"


@dataclass
class Truth:
    """What was answered, held against what the target has shown since."""

    rig: Rig
    answered: int = 0
    late: int = 0
    promises: list[tuple[str, int, int]] = field(default_factory=list)

    async def write(self, name: str, number: int | None = None, *, delete: bool = False) -> None:
        """One write of an application, and the wait for it."""
        self.rig.table.delete(name) if delete else self.rig.table.put(name, number)
        await self.wait(name)

    async def wait(self, name: str) -> None:
        written = len(self.rig.table.history.get(name, []))
        answer = await self.rig.pipeline.barrier.wait([key_of(name)], PATIENCE_S)
        if answer is not SETTLED:
            assert answer.verdict in {Verdict.LATE, Verdict.UNAVAILABLE}, answer
            self.late += 1
            return
        self.promise(name, written)

    async def wait_for_everything(self) -> None:
        written = {name: len(history) for name, history in self.rig.table.history.items()}
        if await self.rig.pipeline.barrier.wait([], PATIENCE_S) is SETTLED:
            for name, count in written.items():
                self.promise(name, count)

    def promise(self, name: str, written: int) -> None:
        """From now on the target shows the state after so many writes, or later ones."""
        self.answered += 1
        states = self.states(name)[written:]
        assert self.rig.number(name) in states, f"{name}: {self.rig.number(name)} is older than {states}"
        self.promises.append((name, written, len(self.rig.service.log.get(key_of(name), []))))

    def states(self, name: str) -> list[int | None]:
        return [None, *(number for _, number in self.rig.table.history.get(name, []))]

    def check(self) -> None:
        """Nothing that was shown after an answer was older than what the answer was about."""
        for name, written, shown in self.promises:
            states, index = self.states(name)[written:], 0
            for state in self.rig.service.log.get(key_of(name), [])[shown:]:
                assert state in states[index:], f"{name}: {state} came after the answer about {states}"
                index = states.index(state, index)


async def write_and_wait(truth: Truth, writer: int, writes: int) -> None:
    """An application: records of its own, one that all write, and records that go there and back."""
    rng, table = truth.rig.rng, truth.rig.table
    for _ in range(writes):
        name = HOT if rng.random() < 0.3 else f"w{writer}-{rng.randrange(3)}"
        chance = rng.random()
        if chance < 0.4:  # X, Y, X
            before = table.rows.get(name)
            table.put(name)
            await anyio.sleep(rng.choice([0.0, rng.uniform(0, 0.5)]))
            await truth.write(name, before, delete=before is None)
        elif chance < 0.5:
            await truth.write(name, delete=True)
        elif chance < 0.53:
            table.put(name)
            await truth.wait_for_everything()
        else:
            await truth.write(name)
        await anyio.sleep(rng.choice([0.0, rng.uniform(0, 1.5)]))


async def in_processes_that_crash(truth: Truth, processes: int, writes: int) -> None:
    rig = truth.rig
    for _ in range(processes):
        rig.crash = crash = Crash(rig.rng.randrange(400, 3000))
        with crash.scope:
            async with rig.running(), anyio.create_task_group() as writers:
                await rig.until(rig.is_following, 300)
                for writer in range(4):
                    writers.start_soon(write_and_wait, truth, writer, writes)
                writers.start_soon(reshards, rig)
        rig.crash = Crash()
        await anyio.sleep(LIFETIME_S)


async def reshards(rig: Rig) -> None:
    for _ in range(3):
        await anyio.sleep(rig.rng.uniform(0, 10))
        reshard(rig)


@pytest.mark.parametrize("mode", [Mode.ASYNC, Mode.SYNC])
@pytest.mark.parametrize("seed", range(4))
def test_no_answer_comes_before_the_write_has(seed: int, mode: Mode) -> None:
    """More than a thousand writes over all seeds, with faults, crashes and reshards; the daemon's clock is wrong."""

    @in_virtual_time
    async def run() -> None:
        rig = Rig(seed, shards=1 + seed % 3, ahead_s=(-500.3, 0.0, 77.7)[seed % 3])
        rig.mode = mode
        truth = Truth(rig)
        load(rig)
        rig.service.fate = faulty(rig.rng, share=0.1)
        async with rig.store:
            await in_processes_that_crash(truth, 5, 10)
            rig.service.fate = lambda *_: FINE
            async with rig.running():
                await rig.converged(600)
        truth.check()
        assert truth.answered > 60, truth.late

    run()


@in_virtual_time
async def test_a_thousand_writes_with_an_answer_each() -> None:
    rig = Rig(99, shards=3)
    truth = Truth(rig)
    rig.service.fate = faulty(rig.rng, share=0.03)
    async with rig.store, rig.running():
        await rig.until(rig.is_following)
        async with anyio.create_task_group() as writers:
            for writer in range(8):
                writers.start_soon(write_and_wait, truth, writer, 130)
        rig.service.fate = lambda *_: FINE
        await rig.converged(600)
    truth.check()
    assert truth.answered > 1000


@in_virtual_time
async def test_a_record_that_is_equal_on_both_sides_may_still_have_an_older_state_on_its_way() -> None:
    """X, Y, X: the stream carries Y after the answer, and nobody ever sees it."""
    rig = Rig(page=1)
    truth = Truth(rig)
    async with rig.store, rig.running():
        x = rig.table.put("n0")
        await rig.converged()
        rig.table.put("n0")
        await truth.write("n0", x)
        assert rig.service.log[KEY] == [x], "the stream was not that fast"
        await rig.converged()
        assert rig.service.log[KEY] == [x]
        assert truth.answered == 1


@in_virtual_time
async def test_a_record_is_waited_for_no_longer_than_it_takes_to_write_it() -> None:
    """Not for the stream, nor for the proof that nothing else is to come."""
    rig = Rig()
    rig.table.visible_within_s = 5.0
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.table.put("n0")
        begun = anyio.current_time()
        assert await pipeline.barrier.wait([KEY], PATIENCE_S) is SETTLED
        assert anyio.current_time() - begun < 0.5


@in_virtual_time
async def test_a_plain_write_that_is_under_way_is_waited_for() -> None:
    """It may land last."""
    rig = Rig(page=1)
    truth = Truth(rig)
    async with rig.store, rig.running() as pipeline:
        x = rig.table.put("n0")
        await rig.converged()
        rig.service.fate = lambda kind, _: Fate(lands_s=0.4, answers_s=0.4) if kind == "write" else FINE
        rig.table.put("n0")
        await rig.until(lambda: bool(pipeline._applier.inflight._left))
        await truth.write("n0", x)
        await rig.converged()
    truth.check()
    assert truth.answered == 1


@in_virtual_time
async def test_a_slow_write_of_another_record_holds_nothing_up() -> None:
    rig = Rig(shards=2)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        slow = key_of("slow")
        rig.service.fate = lambda kind, key: refused(ThrottledError("busy")) if (kind, key) == ("write", slow) else FINE
        rig.table.put("slow")
        await rig.until(lambda: bool(pipeline._applier.inflight._left))
        rig.table.put("n0")
        assert await pipeline.barrier.wait([KEY], 1.0) is SETTLED
        rig.service.fate = lambda *_: FINE


@in_virtual_time
async def test_who_stops_waiting_leaves_no_request_in_doubt() -> None:
    """Or the next write of that record would wait for as long as a request may live."""
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.service.fate = lambda kind, _: Fate(lands_s=0.3, answers_s=0.3) if kind == "guarded" else FINE
        rig.table.put("n0")
        answer = await pipeline.barrier.wait([KEY], 0.15)
        assert answer.verdict is Verdict.LATE
        assert "written" in answer.reason
        assert KEY not in answer.reason
        assert await pipeline.barrier.wait([KEY], PATIENCE_S) is SETTLED
        assert len(pipeline.delivery.suspects) == 0


@in_virtual_time
async def test_many_who_wait_for_one_record_share_the_work() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.table.put("n0")
        looks: list[str] = []
        rig.service.fate = lambda kind, _: looks.append(kind) or Fate(answers_s=0.1)  # type: ignore[func-returns-value]
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(pipeline.barrier.wait, [KEY], PATIENCE_S)
        assert looks.count("observe") <= 4


@in_virtual_time
async def test_who_asks_later_is_answered_by_a_later_look() -> None:
    """Also while one is under way that has read the source already."""
    rig = Rig()
    truth = Truth(rig)
    async with rig.store, rig.running():
        await rig.converged()
        rig.service.fate = lambda kind, _: Fate(0.3, 0.3) if kind == "guarded" else FINE
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(truth.write, "n0")
                await anyio.sleep(0.1)
        assert truth.answered == 5
        await rig.converged()
    truth.check()


@in_virtual_time
async def test_everything_is_settled_when_the_watermark_has_passed_the_question() -> None:
    rig = Rig(shards=3)
    truth = Truth(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        for number in range(12):
            rig.table.put(f"n{number}")
        asked_at = rig.table.now()
        await truth.wait_for_everything()
        assert truth.answered == 12
        assert pipeline.replicated_through is not None
        assert pipeline.replicated_through.timestamp() > asked_at


@in_virtual_time
async def test_everything_waits_for_dead_letters_and_says_so() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await rig.store.add_dead_letters(NAME, "s0", [Rejection("k", "no")])
        answer = await pipeline.barrier.wait([], 20)
        assert answer.verdict is Verdict.LATE
        assert "1 dead letter to be resolved" in answer.reason
        await rig.store.resolve_dead_letters(await rig.store.dead_letters(NAME))
        assert await pipeline.barrier.wait([], 20) is SETTLED


@in_virtual_time
async def test_everything_waits_for_requests_of_unknown_outcome_of_before() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        fates = [lost(NEVER_LANDS, 0.1)]
        rig.service.fate = lambda kind, _: fates.pop() if fates and kind == "write" else FINE
        pipeline.delivery._fence.lifetime_s = 30
        rig.table.put("n0")
        await rig.until(lambda: pipeline.delivery.suspects.latest > 0)
        in_doubt_until = pipeline.delivery.suspects.latest
        assert await pipeline.barrier.wait([], 60) is SETTLED
        assert anyio.current_time() >= in_doubt_until


@in_virtual_time
async def test_a_record_that_the_target_refuses_is_refused_and_a_dead_letter() -> None:
    rig = Rig()
    rig.service.refuses = lambda change: "too large" if change.operation is Operation.UPSERT else None
    async with rig.store, rig.running() as pipeline:
        await rig.until(rig.is_following)
        rig.excused = {KEY}
        rig.table.put("n0")
        answer = await pipeline.barrier.wait([KEY], PATIENCE_S)
        assert answer.verdict is Verdict.REFUSED
        assert "too large" in answer.reason
        (letter,) = await rig.store.dead_letters(NAME)
        assert letter.committed_at is not None, "or nothing would be known of time any more"


@in_virtual_time
async def test_nothing_is_answered_before_following_and_none_is_waiting_when_it_stops() -> None:
    rig = Rig(slow_rows_s=3)
    load(rig)
    async with rig.store, anyio.create_task_group() as tasks:
        answers = []

        async def ask() -> None:
            answers.append(await rig.pipeline.barrier.wait([], 600))

        assert (await rig.pipeline.barrier.wait([KEY], 1)).verdict is Verdict.UNAVAILABLE
        async with rig.running() as pipeline:
            await anyio.sleep(0.2)
            answer = await pipeline.barrier.wait([KEY], 1)
            assert (answer.verdict, answer.reason) == (Verdict.REFUSED, "the copy is not through")
            await rig.converged()
            tasks.start_soon(ask)
            await anyio.sleep(1)
        await anyio.sleep(1)
        assert [answer.verdict for answer in answers] == [Verdict.UNAVAILABLE]
        assert (await rig.pipeline.barrier.wait([KEY], 1)).verdict is Verdict.UNAVAILABLE


@in_virtual_time
async def test_a_pipeline_that_has_failed_answers_nothing() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.table.log = "another"
        rig.table.shards["z0"] = rig.table.shards.pop("s0")
        rig.table.shards["z0"].id = "z0"
        pipeline.following._wake.set()
        for keys, patience_s in (([], 600), ([KEY], 1)):
            answer = await pipeline.barrier.wait(keys, patience_s)
            assert answer.verdict is Verdict.REFUSED
            assert "has failed" in answer.reason


@in_virtual_time
async def test_no_answer_comes_while_the_lease_is_not_surely_held() -> None:
    """What was read before it was lost says nothing: another daemon may have written since."""
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        fence = pipeline.delivery._fence

        def fate(kind: str, _key: str) -> Fate:
            if kind == "guarded":
                fence.extend(float("-inf"))
            return FINE

        rig.service.fate = fate
        rig.table.put("n0")
        answer = await pipeline.barrier.wait([KEY], 5)
        assert (answer.verdict, answer.reason) == (Verdict.LATE, "waiting for the lease to be renewed")
        fence.extend(float("inf"))
        rig.service.fate = lambda *_: FINE
        assert await pipeline.barrier.wait([KEY], 5) is SETTLED


@in_virtual_time
async def test_only_so_many_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier, "MOST_WAITING", 3)
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        verdicts = []

        async def ask() -> None:
            verdicts.append((await pipeline.barrier.wait([], 60)).verdict)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        assert verdicts == [Verdict.CROWDED] * 2 + [Verdict.SETTLED] * 3


@pytest.mark.parametrize("text", ["", "n0", '{"id": "n0"}', '{"other":"n0"}', "[]"])
def test_what_is_no_key_is_not_looked_up(text: str) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig()
        async with rig.store, rig.running() as pipeline:
            await rig.converged()
            assert (await pipeline.barrier.wait([KEY, text], 1)).verdict is Verdict.INVALID

    run()


@in_virtual_time
async def test_an_object_is_waited_for_by_its_key_only() -> None:
    rig = BucketRig(0)
    rig.bucket.late_s = 20.0
    truth = Truth(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.until(rig.is_following)
        begun = anyio.current_time()
        await truth.write("n0")
        assert truth.answered == 1
        assert anyio.current_time() - begun < 1
        answer = await pipeline.barrier.wait([], 1)
        assert answer.verdict is Verdict.REFUSED
        assert "single keys" in answer.reason


@in_virtual_time
async def test_what_a_refusal_tells_names_no_key_where_keys_are_hashed() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        pipeline._applier._naming = naming = Naming(b"secret")
        rig.service.refuses = lambda change: f"{change.key} is not wanted" if change.key == KEY else None
        rig.table.put("n0")
        answer = await pipeline.barrier.wait([KEY], PATIENCE_S)
        assert answer.verdict is Verdict.REFUSED
        assert KEY not in answer.reason
        assert naming.key(KEY) in answer.reason

"""Promises of the guarded procedure: what is written is never older than what was there, whatever moves meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import anyio
import pytest

from fakes.memory import Fate, MemoryService, MemoryTarget, lost
from fakes.records import PLAINLY, document, key_of, number_in, upsert
from fakes.rig import Rig
from fakes.virtual import in_virtual_time
from replicator.delivery import Suspects
from replicator.documents import Document
from replicator.engine.guards import Decision, Guards, Interval
from replicator.engine.reconciling import CHUNK, Reconciler
from replicator.model import Change, GuardedResult, Observed, Rejection, Rule

KEY = key_of("k")


class Script:
    """A rig whose target calls back at each request, so that a test may move source or target just then."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.done: list[tuple[tuple[str, ...], Interval]] = []
        self.reconciler = Reconciler(self.rig.pipeline.source, self.rig.pipeline.target, Suspects(), PLAINLY)

    @property
    def table(self) -> "Rig":
        return self.rig

    def on(self, kind: str, *actions: Callable[[], object]) -> None:
        """Runs one action before each request of this kind reaches the service."""
        left = list(actions)

        def fate(asked: str, _key: str) -> Fate:
            if asked == kind and left:
                left.pop(0)()
            return Fate()

        self.rig.service.fate = fate

    async def reconcile(self, *keys: str, rule: Rule = Rule.FOLLOW) -> list[Rejection]:
        await self.rig.pipeline.source.connect()
        return await self.reconciler.reconcile(keys, rule, lambda k, i: self.done.append((tuple(k), i)))

    def held(self) -> int | None:
        record = self.rig.service.visible(KEY)
        return None if record is None else number_in(record)


@in_virtual_time
async def test_a_differing_record_is_replaced_and_an_equal_one_left_alone() -> None:
    script = Script()
    number = script.rig.table.put("k")
    script.rig.service.put(KEY, document("k", 99))
    await script.reconcile(KEY)
    assert script.held() == number
    etag = script.rig.service.entries[KEY].etag
    await script.reconcile(KEY)
    assert script.rig.service.entries[KEY].etag == etag


@in_virtual_time
async def test_what_the_source_lacks_is_removed() -> None:
    script = Script()
    script.rig.service.put(KEY, document("k", 1))
    await script.reconcile(KEY)
    assert script.held() is None


@in_virtual_time
async def test_a_target_that_moved_on_is_looked_at_again() -> None:
    script, table = Script(), None
    script.rig.table.put("k")
    script.rig.service.put(KEY, document("k", 1))

    def both_move() -> None:
        script.rig.service.put(KEY, document("k", script.rig.table.put("k")))

    script.on("guarded", both_move, both_move)
    await script.reconcile(KEY)
    assert table is None
    assert script.held() == script.rig.table.rows["k"]
    log = [n for n in script.rig.service.log[KEY] if n is not None]
    assert log == sorted(log), "never backwards"


@in_virtual_time
async def test_created_and_deleted_meanwhile_is_noticed_although_no_condition_tells() -> None:
    """ABA on absence: the record came and went at both sides between the look and the write."""
    script = Script()
    script.rig.table.put("k")
    script.on("guarded", lambda: script.rig.table.delete("k"))
    await script.reconcile(KEY)
    assert script.held() is None


@pytest.mark.parametrize("kind", ["observe", "guarded"])
def test_of_a_procedure_that_was_cut_off_nobody_knows_what_the_target_holds(kind: str) -> None:
    """It may be as old as ever, or as new as the source is now: no change may be dropped or written unlooked at."""

    @in_virtual_time
    async def run() -> None:
        script, guards = Script(), Guards()
        script.rig.table.put("k")
        with anyio.CancelScope() as scope:
            script.on(kind, scope.cancel)
            await script.reconcile(KEY)
        assert scope.cancelled_caught
        guards.reconciled(*script.done[0])
        for age_s in (0, 3600):
            change = upsert("k", 1, datetime.fromtimestamp(script.rig.table.now() - age_s, UTC))
            assert guards.decide(change) is Decision.RECONCILE

    run()


@in_virtual_time
async def test_a_late_write_of_unknown_outcome_is_waited_for() -> None:
    script = Script()
    script.rig.table.put("k")
    fates = [lost(1.5), Fate()]
    script.rig.service.fate = lambda kind, _: fates.pop(0) if kind == "guarded" and fates else Fate()
    begun = anyio.current_time()
    await script.reconcile(KEY)
    assert anyio.current_time() - begun >= script.rig.lifetime_s
    assert script.held() == script.rig.table.rows["k"]


@in_virtual_time
async def test_the_interval_covers_every_reading_of_the_source() -> None:
    script = Script()
    script.rig.table.put("k")
    script.rig.service.put(KEY, document("k", 1))
    before = script.rig.table.now()
    script.on("guarded", *[lambda: script.rig.service.put(KEY, document("k", 2))] * 3)
    await script.reconcile(KEY)
    ((keys, interval),) = script.done
    assert keys == (KEY,)
    assert interval.since.timestamp() <= before + 0.05
    assert interval.until.timestamp() >= script.rig.table.now()


@in_virtual_time
async def test_a_refused_change_is_reported_once_even_if_it_keeps_changing() -> None:
    script = Script()
    script.rig.table.put("k")
    script.rig.service.refuses = lambda change: "odd" if number_in(change.record) % 2 else None
    script.rig.service.step = lambda where: None
    looked: list[int] = []

    def moved(kind: str, _key: str) -> Fate:
        looked.append(script.rig.table.put("k")) if kind == "observe" and len(looked) < 2 else None
        return Fate()

    script.rig.service.fate = moved
    rejections = await script.reconcile(KEY)
    assert len(rejections) <= 1
    if rejections:
        assert script.held() is None, "not both refused and applied"


@in_virtual_time
async def test_a_refused_key_is_not_looked_at_again() -> None:
    """The source changes to something acceptable right after: the stream brings that, guarded by the interval."""
    script = Script()
    number = script.rig.table.put("k")

    def refuses(change: Change[Document]) -> str | None:
        refused = number_in(change.record) == number
        if refused:
            script.rig.table.put("k")
        return "too large" if refused else None

    script.rig.service.refuses = refuses
    (rejection,) = await script.reconcile(KEY)
    assert rejection.key == KEY
    assert script.held() is None, "a key is either refused or applied, not both"


@in_virtual_time
async def test_a_key_named_twice_is_reconciled_once() -> None:
    script = Script()
    script.rig.table.put("k")
    await script.reconcile(KEY, KEY)
    assert script.held() == script.rig.table.rows["k"]


@pytest.mark.parametrize("callers", [2, 3, 5])
def test_one_procedure_per_key_at_a_time(callers: int) -> None:
    @in_virtual_time
    async def run() -> None:
        script = Script()
        script.rig.table.put("k")
        script.rig.table.put("l")
        await script.rig.pipeline.source.connect()
        target = Watched(script.rig)
        reconciler = Reconciler(script.rig.pipeline.source, target, Suspects(), PLAINLY)

        async def call(number: int) -> None:
            await anyio.sleep(number * 0.01)
            for _ in range(3):
                await reconciler.reconcile([KEY, key_of("l")][:: 1 - 2 * (number % 2)], Rule.FOLLOW, lambda *_: None)

        async with anyio.create_task_group() as tasks:
            for number in range(callers):
                tasks.start_soon(call, number)
        assert target.most == 1
        assert not reconciler._locks, "bounded memory"

    run()


class Watched(MemoryTarget):
    """Counts how many procedures are between their look and their write."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.service, rig.pipeline.delivery)
        self.running, self.most = 0, 0

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        self.running += 1
        self.most = max(self.most, self.running)
        return await super().observe(keys)

    async def replace(
        self, changes: Mapping[str, Change[Document]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        result = await super().replace(changes, observed, rule)
        self.running -= 1
        return result


@in_virtual_time
async def test_many_keys_go_in_chunks_and_each_is_told() -> None:
    script = Script()
    names = [f"n{i}" for i in range(CHUNK + 5)]
    for name in names:
        script.rig.table.put(name)
    await script.reconcile(*[key_of(n) for n in names])
    assert [len(keys) for keys, _ in script.done] == [CHUNK, 5]
    assert script.rig.held() == script.rig.table.expected()


@in_virtual_time
async def test_beside_a_copy_a_key_absent_on_both_sides_leaves_a_tombstone() -> None:
    """Or a row that the copy read before would bring it back, and its delete in the stream is dropped as known."""
    script = Script()
    await script.reconcile(KEY, rule=Rule.OVERLAP)
    assert script.rig.service.entries[KEY].record is None


def test_the_fake_keeps_what_it_is_for() -> None:
    assert MemoryService().visible(KEY) is None

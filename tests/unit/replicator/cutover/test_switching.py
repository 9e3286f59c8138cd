"""Promises of the switch: within its budget, or everything is as it was; and never both sides on at once."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from fakes.statuses import FINE, but
from fakes.stores import InlineStore
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.cutover import Cutover
from replicator.cutover import switching as switching_module
from replicator.cutover.switched import MOST_EARLIER, Stage, Step
from replicator.cutover.switching import Switching
from replicator.errors import ConfigurationError
from replicator.status import DrainStatus, PipelineStatus, QueueDepth
from replicator.triggers.model import Pending, Place, Progress, Side
from replicator.triggers.model import Step as Turn

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _virtual_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock on the wall goes as the virtual one does."""
    monkeypatch.setattr(switching_module, "utc_now", lambda: T0 + timedelta(seconds=elapsed_s()))


class Clouds:
    """What is on where, and what a drain takes. It outlives the processes; `fails` is asked before each action."""

    def __init__(self, drain_s: float = 1.0, held: int = 0, forward_s: float = 0.0) -> None:
        self.aws, self.azure = True, False
        self.drain_s = drain_s
        self.held = held
        self.forward_s = forward_s
        self.released_at: float | None = None
        self.fence_at: float | None = None
        self.sealed_ones: set[str] = set()
        self.ready = True
        self.expected_s: float | None = 1.0
        self.pending = ""
        self.failing: set[str] = set()
        self.both: list[str] = []
        self.at_azure = False
        self.written_at_the_seal = False
        self.counts_are_wrong = False
        self.under_way: list[str] = []
        self.left_at_the_seal: list[str] = []
        self.is_walked = False
        self.all_is_held = False

    @property
    def released(self) -> bool:
        return self.released_at is not None

    @property
    def messages(self) -> int:
        """Those that are left in the queue."""
        forwarded = self.released_at is not None and elapsed_s() - self.released_at >= self.forward_s
        return 0 if forwarded else self.held

    @property
    def pipelines(self) -> list[str]:
        return ["jobs"] if self.all_is_held else ["orders", "jobs"]

    @property
    def sealed(self) -> bool:
        return self.sealed_ones == set(self.pipelines)

    def act(self, name: str) -> None:
        if name in self.failing:
            raise ConfigurationError("triggers.orders.aws", f"{name} fails", "Mend it")

    # --- triggers

    async def cordon(self, who: str) -> Progress:
        await anyio.sleep(0.1)
        self.act("cordon")
        self.aws = False
        pending = Pending(Place("dns", Side.AWS), "off", self.pending) if self.pending else None
        return Progress(Turn.CORDON, (), pending)

    async def require_cordoned(self) -> None:
        if self.aws:
            raise ConfigurationError("triggers.orders.aws", "is on, so what it triggers would be done twice", "Cordon")

    async def activate(self, who: str) -> Progress:
        await anyio.sleep(0.1)
        await self.require_cordoned()
        self.act("activate")
        self.azure = True
        self.both += ["both are on"] if self.aws else []
        self.both += ["messages are left"] if self.messages else []
        if not self.all_is_held:
            self.both += ["what is drained may still be written"] if "orders" not in self.sealed_ones else []
        self.both += ["what was begun before the seal may still be written"] if self.under_way else []
        return Progress(Turn.ACTIVATE, ())

    interval_s = 0.25
    said = "answered with 405"

    async def works(self) -> bool:
        """A client of the application, which is called where traffic leads."""
        await anyio.sleep(0.01)
        return self.azure if self.at_azure else self.aws

    async def traffic(self, who: str) -> Progress:
        self.act("traffic")
        self.at_azure = True
        return Progress(Turn.TRAFFIC, ())

    async def undo(self, who: str) -> Progress:
        await anyio.sleep(0.1)
        self.act("undo")
        self.azure, self.aws, self.at_azure = False, True, False
        return Progress(Turn.UNDO, ())


class Means:
    """A daemon's process, which has looked at nothing before `looks_at`, and at no queue until a second after that."""

    def __init__(self, clouds: Clouds, looks_at: float = float("-inf")) -> None:
        self.clouds = clouds
        self.looks_at = looks_at

    @property
    def statuses(self) -> dict[str, PipelineStatus]:
        if elapsed_s() < self.looks_at:
            return {}
        if elapsed_s() < self.looks_at + 1:
            return {"orders": FINE, "jobs": FINE}
        messages = 0 if self.clouds.counts_are_wrong else self.clouds.messages
        held = QueueDepth(visible=messages, in_flight=0, delayed=0, oldest_age_s=None, held=not self.clouds.released)
        return {"orders": FINE, "jobs": but(FINE, queue=held)}

    def cutover(self) -> Cutover:
        clouds = self.clouds
        return Cutover(
            migration="shop", phase="following", ready=clouds.ready, judged_at=T0, drain_s=clouds.expected_s,
            reasons=[] if clouds.ready else ["orders: lag fails"], pipelines={},
        )  # fmt: skip

    def triggers(self) -> Clouds:
        return self.clouds

    def drains(self) -> dict[str, DrainStatus | None]:
        clouds = self.clouds
        if clouds.fence_at is None:
            return {"orders": None, "jobs": None}
        through = elapsed_s() - clouds.fence_at >= clouds.drain_s
        jobs = [] if clouds.released and not clouds.messages else ["messages are held"]
        emptied_at = None if jobs else T0
        return {
            "orders": _drain(
                [] if through else ["not through"],
                under_way=clouds.under_way or ["changes are being written"] * clouds.is_walked,
            ),
            "jobs": _drain(jobs, released=clouds.released, emptied_at=emptied_at),
        }

    async def drain(self, pipelines: Sequence[str]) -> None:
        self.clouds.act("drain")
        self.clouds.fence_at = elapsed_s()

    async def release(self, pipelines: Sequence[str]) -> None:
        self.clouds.act("release")
        if pipelines and self.clouds.released_at is None:
            self.clouds.released_at = elapsed_s()

    def sealed(self) -> set[str]:
        return self.clouds.sealed_ones

    async def seal(self, pipelines: Sequence[str], *, force: bool) -> None:
        if self.clouds.written_at_the_seal:
            self.clouds.written_at_the_seal = False
            self.clouds.fence_at = elapsed_s()
        self.clouds.act("seal")
        assert not force
        in_the_way = [name for name in pipelines if (drain := self.drains()[name]) is None or drain.in_the_way]
        if set(in_the_way) - self.clouds.sealed_ones:
            raise ConfigurationError(f"pipelines.{in_the_way[0]}", "is not drained", "Drain it first")
        self.clouds.sealed_ones |= set(pipelines)
        self.clouds.under_way = self.clouds.left_at_the_seal

    async def flushed(self, pipelines: Sequence[str]) -> None:
        await self.quiet(pipelines)

    async def quiet(self, pipelines: Sequence[str]) -> None:
        while self.clouds.under_way:  # noqa: ASYNC110 — time is virtual
            await anyio.sleep(0.1)

    async def follow_again(self, pipelines: Sequence[str]) -> None:
        self.clouds.act("follow")
        self.clouds.fence_at = None
        self.clouds.released_at = None


def _drain(
    in_the_way: list[str], *, released: bool = False, emptied_at: datetime | None = None, under_way: Sequence[str] = ()
) -> DrainStatus:
    return DrainStatus(
        fence=T0, released=released, drained_at=None if in_the_way else T0, in_the_way=in_the_way, late=0,
        late_at=None, emptied_at=emptied_at, under_way=list(under_way),
    )  # fmt: skip


class Scene:
    """Store and clouds, and switches on them."""

    def __init__(self, clouds: Clouds) -> None:
        self.clouds = clouds
        self.store = InlineStore(lambda _: None)
        self._has_run = False

    async def process(self) -> Switching:
        """All but the first know nothing yet."""
        looks_at = elapsed_s() + 0.5 if self._has_run else float("-inf")
        self._has_run = True
        switching = Switching(Means(self.clouds, looks_at), self.store, self.clouds.pipelines)
        switching.probe = self.clouds
        await switching.take_up()
        return switching


async def ended(switching: Switching, within_s: float = 120) -> Stage:
    with anyio.fail_after(within_s):
        while switching.told is None or not switching.told.is_over:  # noqa: ASYNC110 — time is virtual
            await anyio.sleep(0.1)
    return switching.told.stage


def is_as_before(clouds: Clouds) -> bool:
    return (
        clouds.aws and not clouds.azure and clouds.fence_at is None and not clouds.released and not clouds.sealed_ones
    )


async def switched(clouds: Clouds, max_pause_s: float = 10.0) -> Switching:
    place = Scene(clouds)
    async with place.store, anyio.create_task_group() as tasks:
        switching = await place.process()
        tasks.start_soon(switching.run)
        await switching.begin(max_pause_s=max_pause_s, by="ann")
        await ended(switching)
        tasks.cancel_scope.cancel()
    return switching


@in_virtual_time
async def test_within_its_budget_everything_is_done_in_order() -> None:
    clouds = Clouds(held=3)
    switching = await switched(clouds)
    told = switching.told
    assert told is not None
    assert told.stage is Stage.DONE
    assert [taken.step for taken in told.steps] == list(Step)
    assert (clouds.aws, clouds.azure, clouds.sealed, clouds.messages) == (False, True, True, 0)
    assert clouds.both == []


@pytest.mark.parametrize("failing", ["cordon", "drain", "release"])
def test_whatever_fails_before_the_activation_leads_back(failing: str) -> None:
    @in_virtual_time
    async def run() -> None:
        clouds = Clouds()
        clouds.failing = {failing}
        switching = await switched(clouds)
        assert switching.told is not None
        assert switching.told.stage is Stage.UNDONE
        assert f"{failing} fails" in switching.told.reason
        assert is_as_before(clouds)

    run()


@in_virtual_time
async def test_a_budget_that_is_over_leads_back_and_says_what_was_waited_for() -> None:
    clouds = Clouds(drain_s=1000)
    switching = await switched(clouds, max_pause_s=5)
    assert switching.told is not None
    assert switching.told.reason == "the pause of 5 s was over in step drain while waiting for orders: not through"
    assert is_as_before(clouds)


@in_virtual_time
async def test_the_pause_that_clients_see_is_measured_until_they_are_served_again() -> None:
    clouds = Clouds(drain_s=3)
    place = Scene(clouds)
    async with place.store, anyio.create_task_group() as tasks:
        switching = await place.process()
        tasks.start_soon(switching.run)
        await switching.begin(max_pause_s=10, by="ann")
        await ended(switching)
        await anyio.sleep(2)
        kept = await place.process()
        tasks.cancel_scope.cancel()
    told = switching.told
    assert told is not None
    assert told.probe is not None
    assert not told.probe.failing
    paused_s = told.paused_s(T0)
    assert paused_s <= told.probe.pause_s <= paused_s + 3 * clouds.interval_s
    assert told.probe.failures >= paused_s / clouds.interval_s - 3
    assert kept.told == told, "it is saved as it was told last"


@in_virtual_time
async def test_while_the_daemon_is_down_nobody_knows_so_it_counts_as_a_pause() -> None:
    clouds = Clouds(drain_s=1000)
    place = Scene(clouds)
    async with place.store:
        for down_s in (20.0, 0.0):
            async with anyio.create_task_group() as tasks:
                switching = await place.process()
                tasks.start_soon(switching.run)
                if down_s:
                    await switching.begin(max_pause_s=5, by="ann")
                    await anyio.sleep(1)
                else:
                    await ended(switching)
                    await anyio.sleep(1)
                tasks.cancel_scope.cancel()
            await anyio.sleep(down_s)
    assert switching.told is not None
    assert switching.told.probe is not None
    assert switching.told.probe.pause_s >= 20


@in_virtual_time
async def test_clients_that_are_not_served_even_before_stand_against_a_switch() -> None:
    clouds = Clouds()
    clouds.at_azure = True
    place = Scene(clouds)
    async with place.store:
        switching = await place.process()
        with pytest.raises(ConfigurationError, match="fails before anything is switched: answered with 405"):
            await switching.begin(max_pause_s=5, by="ann")
        assert switching.told is None


@in_virtual_time
async def test_a_manual_step_that_nobody_does_leads_back_too() -> None:
    clouds = Clouds()
    clouds.pending = "Turn DNS"
    switching = await switched(clouds, max_pause_s=5)
    assert switching.told is not None
    assert "Turn DNS" in switching.told.reason
    assert is_as_before(clouds)


@in_virtual_time
async def test_it_does_not_begin_unless_ready_nor_where_the_drain_is_expected_to_take_longer() -> None:
    clouds = Clouds()
    switching = Switching(Means(clouds), InlineStore(lambda _: None), ["orders"])
    clouds.ready = False
    with pytest.raises(ConfigurationError, match="lag fails"):
        await switching.begin(max_pause_s=10, by="ann")
    clouds.ready, clouds.expected_s = True, 11.0
    with pytest.raises(ConfigurationError, match="expected to take 11 s"):
        await switching.begin(max_pause_s=10, by="ann")
    assert clouds.aws


@in_virtual_time
async def test_switches_that_were_undone_are_remembered_the_latest_ones_also_after_a_restart() -> None:
    clouds = Clouds(drain_s=1000)
    place = Scene(clouds)
    async with place.store:
        for number in range(MOST_EARLIER + 3):
            async with anyio.create_task_group() as tasks:
                switching = await place.process()
                tasks.start_soon(switching.run)
                await anyio.sleep(2)  # until it has looked
                await switching.begin(max_pause_s=5, by=f"ann {number}")
                assert await ended(switching) is Stage.UNDONE
                tasks.cancel_scope.cancel()
        clouds.drain_s = 1.0
        async with anyio.create_task_group() as tasks:
            switching = await place.process()
            tasks.start_soon(switching.run)
            await anyio.sleep(2)
            await switching.begin(max_pause_s=10, by="bob")
            assert await ended(switching) is Stage.DONE
            tasks.cancel_scope.cancel()
        told = (await place.process()).told
    assert told is not None
    assert (told.by, told.attempt, told.reason) == ("bob", MOST_EARLIER + 4, "")
    assert [each.by for each in told.earlier] == [f"ann {number}" for number in range(3, MOST_EARLIER + 3)]
    assert all("the pause of 5 s was over" in each.reason and each.undone_at for each in told.earlier)


@pytest.mark.parametrize("held", [0, 3])
def test_a_pause_that_was_over_while_the_daemon_was_down_leads_back_before_anything_is_sealed(held: int) -> None:
    """Wherever it was killed: all was drained and forwarded, and nothing at Azure turned on."""

    @in_virtual_time
    async def run() -> None:
        for instruction in range(1, 200):
            clouds = Clouds(held=held)
            scene = Scene(clouds)
            async with scene.store:
                with anyio.CancelScope() as process:
                    _kill_at_save(scene.store, process, instruction)
                    await _run(scene, max_pause_s=10)
                _kill_at_save(scene.store, process, 0)
                is_begun, is_sealed = clouds.aws is False, bool(clouds.sealed_ones)
                await anyio.sleep(3600)
                switching = await _run(scene, max_pause_s=10)
            assert switching.told is not None
            if is_begun and not is_sealed:
                assert switching.told.stage is Stage.UNDONE, instruction
                assert is_as_before(clouds)
                assert "the pause" in switching.told.reason
            if not process.cancel_called:
                return
        raise AssertionError("it never came to its end")

    run()


def _kill_at_save(store: InlineStore, process: anyio.CancelScope, number: int) -> None:
    """At the end of that save of anything; 0 is never."""
    count = 0

    def step(_: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            process.cancel()

    store._step = step


async def _run(scene: Scene, max_pause_s: float) -> Switching:
    async with anyio.create_task_group() as tasks:
        switching = await scene.process()
        tasks.start_soon(switching.run)
        if switching.told is None:
            await anyio.sleep(2)  # until it has looked
            await switching.begin(max_pause_s=max_pause_s, by="ann")
        await ended(switching)
        tasks.cancel_scope.cancel()
    return switching


@pytest.mark.parametrize(("drain_s", "stage"), [(2.0, Stage.DONE), (8.0, Stage.UNDONE)])
def test_a_writer_that_is_noticed_at_the_seal_costs_the_pause_and_no_more(drain_s: float, stage: Stage) -> None:
    @in_virtual_time
    async def run() -> None:
        clouds = Clouds(drain_s=drain_s)
        clouds.written_at_the_seal = True
        switching = await switched(clouds, max_pause_s=10)
        assert switching.told is not None
        assert switching.told.stage is stage
        assert switching.told.paused_s(T0) <= 11
        if stage is Stage.UNDONE:
            assert is_as_before(clouds)
            assert "not drained" in switching.told.reason
            assert [taken.step for taken in switching.told.steps] == [Step.CORDON, Step.DRAIN, Step.RELEASE]

    run()


@in_virtual_time
async def test_nothing_is_sealed_while_what_was_cordoned_is_on_again() -> None:
    """A deployment turns a mapping on, say, and what it triggers has not written yet."""
    clouds = Clouds(drain_s=3)
    place = Scene(clouds)
    async with place.store, anyio.create_task_group() as tasks:
        switching = await place.process()
        tasks.start_soon(switching.run)
        await switching.begin(max_pause_s=10, by="ann")
        await anyio.sleep(1)
        clouds.aws = True
        assert await ended(switching) is Stage.UNDONE
        tasks.cancel_scope.cancel()
    assert is_as_before(clouds)
    assert switching.told is not None
    assert "orders.aws: is on" in switching.told.reason


@pytest.mark.parametrize("all_is_held", [False, True])
@pytest.mark.parametrize("failing", ["activate", "traffic"])
def test_what_fails_from_the_activation_on_is_tried_again(failing: str, *, all_is_held: bool) -> None:
    @in_virtual_time
    async def run() -> None:
        clouds = Clouds()
        clouds.all_is_held = all_is_held
        clouds.failing = {failing}
        place = Scene(clouds)
        async with place.store, anyio.create_task_group() as tasks:
            switching = await place.process()
            tasks.start_soon(switching.run)
            await switching.begin(max_pause_s=10, by="ann")
            await anyio.sleep(60)
            with pytest.raises(ConfigurationError, match="no way back"):
                await switching.abort("never mind")
            clouds.failing = set()
            assert await ended(switching) is Stage.DONE
            tasks.cancel_scope.cancel()
        assert clouds.sealed

    run()


@pytest.mark.parametrize("moment_s", [0.05, 0.15, 0.5, 1.05])
def test_an_abort_leads_back_from_wherever_it_is(moment_s: float) -> None:
    @in_virtual_time
    async def run() -> None:
        clouds = Clouds(held=2)
        scene = Scene(clouds)
        async with scene.store, anyio.create_task_group() as tasks:
            switching = await scene.process()
            tasks.start_soon(switching.run)
            await switching.begin(max_pause_s=10, by="ann")
            await anyio.sleep(moment_s)
            await switching.abort("never mind")
            assert await ended(switching) is Stage.UNDONE
            await anyio.sleep(10)
            tasks.cancel_scope.cancel()
        assert is_as_before(clouds)

    run()


@pytest.mark.parametrize("all_is_held", [False, True])
def test_an_abort_leads_back_until_something_is_sealed_or_turned_on_at_azure(*, all_is_held: bool) -> None:
    """The activation has begun, and waits: a deployment has turned on what was cordoned. A restart changes nothing."""

    @in_virtual_time
    async def run() -> None:
        clouds = Clouds(held=2, forward_s=2)
        clouds.all_is_held = all_is_held
        scene = Scene(clouds)
        async with scene.store:
            for is_first in (True, False):
                async with anyio.create_task_group() as tasks:
                    switching = await scene.process()
                    tasks.start_soon(switching.run)
                    if is_first:
                        await switching.begin(max_pause_s=1000, by="ann")
                    await _until_activation(switching, clouds)
                    await anyio.sleep(5)
                    assert not clouds.sealed_ones
                    assert "is on, so what it triggers would be done twice" in switching._present.waiting_for
                    if not is_first:
                        await switching.abort("never mind")
                        assert await ended(switching) is Stage.UNDONE
                        await anyio.sleep(10)
                    tasks.cancel_scope.cancel()
        assert is_as_before(clouds)
        assert clouds.both == []

    run()


@in_virtual_time
async def test_what_a_process_had_sealed_when_it_was_killed_is_past_the_point_of_no_return() -> None:
    """It had not come to note that."""
    clouds = Clouds(held=2, forward_s=2)
    scene = Scene(clouds)
    async with scene.store, anyio.create_task_group() as tasks:
        switching = await scene.process()
        tasks.start_soon(switching.run)
        await switching.begin(max_pause_s=1000, by="ann")
        await _until_activation(switching, clouds)
        assert not switching._present.no_way_back
        clouds.sealed_ones = {"orders"}
        with pytest.raises(ConfigurationError, match="no way back"):
            await switching.abort("never mind")
        clouds.aws = False
        assert await ended(switching) is Stage.DONE
        tasks.cancel_scope.cancel()


async def _until_activation(switching: Switching, clouds: Clouds) -> None:
    """Somebody turns on what was cordoned while it forwards."""
    with anyio.fail_after(60):
        while not clouds.released:  # noqa: ASYNC110 — time is virtual
            await anyio.sleep(0.01)
        clouds.aws = True
        while not any(taken.step is Step.ACTIVATE for taken in switching._present.steps):  # noqa: ASYNC110
            await anyio.sleep(0.01)


@in_virtual_time
async def test_where_all_is_held_a_pause_that_is_over_leads_back_too_before_anything_is_turned_on() -> None:
    clouds = Clouds(held=2, forward_s=2)
    clouds.all_is_held = True
    scene = Scene(clouds)
    async with scene.store, anyio.create_task_group() as tasks:
        switching = await scene.process()
        tasks.start_soon(switching.run)
        await switching.begin(max_pause_s=5, by="ann")
        await _until_activation(switching, clouds)
        assert await ended(switching) is Stage.UNDONE
        tasks.cancel_scope.cancel()
    assert is_as_before(clouds)
    assert switching.told is not None
    assert "is on, so" in switching.told.reason


@in_virtual_time
async def test_an_abort_waits_for_a_seal_that_is_being_made_and_comes_too_late_then() -> None:
    clouds = Clouds()
    scene = Scene(clouds)
    sealing = anyio.Event()

    async def seal(pipelines: Sequence[str], *, force: bool) -> None:
        sealing.set()
        await anyio.sleep(2)
        clouds.sealed_ones |= {"orders"}

    async with scene.store, anyio.create_task_group() as tasks:
        switching = await scene.process()
        switching._means.seal = seal  # type: ignore[method-assign]
        tasks.start_soon(switching.run)
        await switching.begin(max_pause_s=10, by="ann")
        await sealing.wait()
        with pytest.raises(ConfigurationError, match="no way back"):
            await switching.abort("never mind")
        assert await ended(switching) is Stage.DONE
        tasks.cancel_scope.cancel()
    assert clouds.azure


@in_virtual_time
async def test_what_is_under_way_is_waited_for_before_the_seal_within_the_pause() -> None:
    """A target that is down would hold up the activation with no way back."""
    clouds = Clouds()
    clouds.under_way = ["changes are being written, and the target is failing"]
    switching = await switched(clouds, max_pause_s=5)
    assert switching.told is not None
    assert switching.told.stage is Stage.UNDONE
    assert switching.told.reason.endswith("waiting for orders: changes are being written, and the target is failing")
    assert is_as_before(clouds)


@in_virtual_time
async def test_a_walk_that_always_writes_something_holds_no_seal_up() -> None:
    """Only what has been begun is waited for, not a moment in which nothing is: there may be none for hours."""
    clouds = Clouds()
    clouds.is_walked = True
    switching = await switched(clouds, max_pause_s=5)
    assert switching.told is not None
    assert switching.told.stage is Stage.DONE


@in_virtual_time
async def test_what_is_under_way_at_the_seal_is_said_and_over_before_anything_is_turned_on() -> None:
    clouds = Clouds()
    clouds.left_at_the_seal = ["changes are being written"]
    scene = Scene(clouds)
    async with scene.store, anyio.create_task_group() as tasks:
        switching = await scene.process()
        tasks.start_soon(switching.run)
        await switching.begin(max_pause_s=5, by="ann")
        await anyio.sleep(60)
        assert switching.told is not None
        assert switching.told.waiting_for == "orders: changes are being written"
        assert not clouds.azure
        clouds.under_way = clouds.left_at_the_seal = []
        assert await ended(switching) is Stage.DONE
        tasks.cancel_scope.cancel()
    assert clouds.both == []


@pytest.mark.parametrize("moment_s", [1.3, 1.8])
def test_killed_while_it_forwards_it_does_not_activate_before_all_is_forwarded(moment_s: float) -> None:
    """A daemon that has only begun knows of no message yet, which does not mean that there is none."""

    @in_virtual_time
    async def run() -> None:
        clouds = Clouds(held=3, forward_s=9)
        scene = Scene(clouds)
        async with scene.store:
            for killed_after_s in (moment_s, 0.1, 1.2, 60):
                async with anyio.create_task_group() as tasks:
                    switching = await scene.process()
                    tasks.start_soon(switching.run)
                    if switching.told is None:
                        await switching.begin(max_pause_s=30, by="ann")
                    await anyio.sleep(killed_after_s)
                    tasks.cancel_scope.cancel()
        assert switching.told is not None
        assert switching.told.stage is Stage.DONE
        assert clouds.both == []

    run()


@in_virtual_time
async def test_a_single_reading_without_messages_is_not_believed() -> None:
    """The counts of a queue are approximate: it is forwarded until the drain has seen nothing for a while."""
    clouds = Clouds(held=3, forward_s=6)
    clouds.counts_are_wrong = True
    switching = await switched(clouds, max_pause_s=30)
    assert switching.told is not None
    assert switching.told.stage is Stage.DONE
    assert clouds.both == []


@pytest.mark.parametrize("seed", range(60))
def test_killed_or_aborted_at_any_moment_it_ends_done_or_as_before(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rng = random.Random(seed)
        clouds = Clouds(drain_s=rng.uniform(0, 4), held=rng.randint(0, 3), forward_s=rng.uniform(0, 2))
        place = Scene(clouds)
        async with place.store:
            begun = False
            for _ in range(rng.randint(1, 4)):
                async with anyio.create_task_group() as tasks:
                    switching = await place.process()
                    tasks.start_soon(switching.run)
                    if not begun:
                        await switching.begin(max_pause_s=rng.choice([3, 30]), by="ann")
                        begun = True
                    await anyio.sleep(rng.uniform(0, 3))
                    if rng.random() < 0.3:
                        try:
                            await switching.abort("never mind")
                        except ConfigurationError:
                            assert switching.told is not None
                            assert switching.told.is_over or clouds.sealed_ones
                    await anyio.sleep(rng.uniform(0, 0.3))
                    tasks.cancel_scope.cancel()
            async with anyio.create_task_group() as tasks:
                switching = await place.process()
                tasks.start_soon(switching.run)
                stage = await ended(switching)
                tasks.cancel_scope.cancel()
        assert clouds.both == []
        if stage is Stage.DONE:
            assert (clouds.aws, clouds.azure, clouds.sealed) == (False, True, True)
        else:
            assert is_as_before(clouds)

    run()

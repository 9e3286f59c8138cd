"""The switch: cordon, drain, release, activate, traffic, seal, within a pause budget or not at all.

The pause that applications see begins with the cordon and ends with the activation. Until anything is sealed, which is
how that begins, whatever goes wrong, and a budget that would be exceeded, leads back to how everything was: triggers
exactly, drains given up, queues held. From then on there is no way back, so everything that fails is tried again. Each
step is remembered before it is begun and each may be repeated, so a switch that is killed goes on, or back, from where
it was.

Whatever is drained is sealed before the first function at Azure is on: what that writes must not be written over, and
no comparison could be clean after it. Only queues that were held are open until the end, for what was delayed.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from replicator.clocks import elapsed_s, utc_now
from replicator.cutover.means import Means
from replicator.cutover.pause import Probe, Probed, first
from replicator.cutover.switched import NOTE, REVERSIBLE, Stage, Step, Switched, Taken, past
from replicator.cutover.waits import under_way, undrained, waiting_messages
from replicator.errors import ConfigurationError
from replicator.ports import StateStore
from replicator.triggers.model import Progress

EVERYWHERE = ""
"""The switch is a note of no pipeline."""

LOOK_INTERVAL_S = 0.25

RETRY_INTERVAL_S = 2.0
"""Between tries of what must not fail any more."""

PROBE_SAVE_S = 1.0
"""What was measured is saved so often, and whenever clients begin or cease to be served."""


class Switching:
    """The switch of one migration. `pipelines` are those that follow something; `probe` measures what clients see."""

    def __init__(self, means: Means, store: StateStore, pipelines: Sequence[str]) -> None:
        self.told: Switched | None = None
        self.probe: Probe | None = None
        self._means = means
        self._store = store
        self._pipelines = list(pipelines)
        self._wanted = anyio.Event()
        self._forward = anyio.CancelScope()
        self._lock = anyio.Lock()
        self._log = structlog.get_logger()

    async def take_up(self) -> None:
        """What an earlier run has left."""
        text = await self._store.load_note(EVERYWHERE, NOTE)
        self.told = None if text is None else Switched.model_validate_json(text)
        if self.told is not None and self.told.probe is not None and self.told.is_measured(utc_now()):
            self.told = self.told.model_copy(update={"probe": self.told.probe.unwatched()})

    def require_possible(self, max_pause_s: float) -> None:
        """Raises ConfigurationError where a switch is under way, the migration is not ready, or the drain is expected
        to take longer than the pause may.
        """
        self.require_idle()
        if not self._means.statuses:
            raise ConfigurationError("cutover", "has not begun yet", "Wait until the status shows it")
        judged = self._means.cutover()
        if not judged.ready:
            raise ConfigurationError(
                "cutover", f"is not ready: {'; '.join(judged.reasons)}", "Wait: replicator cutover status --wait"
            )
        if too_long := judged.too_long_for(max_pause_s):
            raise ConfigurationError("max_pause_s", too_long, "Allow a longer pause, or wait until less is changed")

    def require_idle(self) -> None:
        """For what is done by hand, and would get in the way. Raises ConfigurationError while a switch is under way."""
        if self.told is not None and not self.told.is_over:
            raise ConfigurationError(
                "cutover", "a switch is under way", "Wait for it, or abort it: replicator cutover abort"
            )

    async def begin(self, *, max_pause_s: float, by: str) -> None:
        """The switch is durable when this returns. Raises ConfigurationError where it is not possible."""
        async with self._lock:
            self.require_possible(max_pause_s)
            probed = await self._first_probe()
            held = [name for name in self._pipelines if self._is_held(name)]
            before = {} if self.told is None else past(self.told)
            await self._save(
                Switched(began_at=utc_now(), by=by, max_pause_s=max_pause_s, held=held, probe=probed, **before)
            )
        self._wanted.set()

    async def _first_probe(self) -> Probed | None:
        """Raises ConfigurationError where clients are not served even now."""
        if self.probe is None:
            return None
        if not await self.probe.works():
            raise ConfigurationError(
                "cutover.probe",
                f"fails before anything is switched: {self.probe.said}",
                "See that the application answers it, or remove it",
            )
        return first(utc_now())

    def require_reversible(self) -> Switched:
        """The switch under way. Raises ConfigurationError where there is none, or it is too late to lead back."""
        told = self.told
        if told is None or told.is_over:
            raise ConfigurationError("cutover", "no switch is under way", "There is nothing to be aborted")
        if self._is_final:
            raise ConfigurationError(
                "cutover",
                "something is sealed, or turned on at Azure: there is no way back",
                "Mend what the switch waits for: it is tried again",
            )
        return told

    async def abort(self, reason: str) -> None:
        """Leads back; returns when that is durable. Raises ConfigurationError when it is too late, or there is none."""
        async with self._lock:
            self.require_reversible()
            await self._lead_back(reason)
            self._forward.cancel()

    async def _lead_back(self, reason: str) -> None:
        """An activation that has sealed nothing and turned nothing on was none."""
        steps = [taken for taken in self._present.steps if taken.step in REVERSIBLE]
        update = {"stage": Stage.UNDOING, "reason": reason, "waiting_for": "", "steps": steps}
        await self._save(self._present.model_copy(update=update))

    async def run(self) -> None:
        """Goes on with whatever is under way, until cancelled."""
        async with anyio.create_task_group() as tasks:
            if self.told is not None:
                tasks.start_soon(self._measure)
            while True:
                self._wanted = anyio.Event()
                if self.told is None or self.told.is_over:
                    await self._wanted.wait()
                    tasks.start_soon(self._measure)
                while self.told is not None and not self.told.is_over:
                    if self.told.stage is Stage.RUNNING:
                        await self._go_forward(self.told)
                    else:
                        await self._insist(self._go_back)

    async def _measure(self) -> None:
        """What clients see of this switch, until it is over and they are served again."""
        began_at, saved_s = self._present.began_at, float("-inf")
        while self.probe is not None and self._present.began_at == began_at and self._present.is_measured(utc_now()):
            began_s = elapsed_s()
            works = await self.probe.works()
            async with self._lock:
                probed = self._present.probe
                if self._present.began_at != began_at or probed is None:
                    return
                self.told = self._present.model_copy(update={"probe": probed.after(utc_now(), works=works)})
                is_last = not self.told.is_measured(utc_now())
                if works is probed.failing or began_s - saved_s >= PROBE_SAVE_S or is_last:
                    await self._save(self.told)
                    saved_s = began_s
            await anyio.sleep(max(0.0, self.probe.interval_s - (elapsed_s() - began_s)))

    async def _go_forward(self, told: Switched) -> None:
        with anyio.CancelScope() as self._forward:
            ended = {taken.step for taken in told.steps if taken.ended_at is not None}
            for step in [step for step in Step if step not in ended]:
                failure = await self._take(step)
                if failure:
                    async with self._lock:
                        await self._lead_back(failure)
                    return
                await self._end(step)
            await self._change(lambda _: {"stage": Stage.DONE})
            self._log.info("switched")

    async def _take(self, step: Step) -> str:
        """Why it leads back; empty when the step was done."""
        if step in REVERSIBLE:
            return await self._within_budget(step)
        failure = await self._first_seal() if step is Step.ACTIVATE else ""
        if not failure:
            await self._begin(step)
            await self._insist(lambda: self._do(step))
        return failure

    async def _first_seal(self) -> str:
        """Why it leads back, after all: the pause was over before anything was sealed, be it that the daemon was down,
        that something was written just now, that a trigger is on again, or that a target is down. Empty when there is
        no way back any more.
        """
        while not self._is_final:
            if self._left_s <= 0:
                return self._too_long("before the activation")
            await self._begin(Step.ACTIVATE)
            try:
                with anyio.move_on_after(self._left_s) as within:
                    await self._before_the_seal()
                if not within.cancelled_caught:
                    await self._seal_first()
            except ConfigurationError as error:
                self._wait_for(str(error))
                await anyio.sleep(LOOK_INTERVAL_S)
        return ""

    async def _before_the_seal(self) -> None:
        """What was begun would hold up the activation, where a target is down, and what an AWS side writes after it is
        lost. Raises ConfigurationError.
        """
        if under_way(self._means, self._drained):
            await self._wait_out(self._means.flushed, self._drained)
        await self._means.triggers().require_cordoned()

    async def _seal_first(self) -> None:
        """An abort comes before it, or too late. Raises ConfigurationError where it cannot be done."""
        async with self._lock:
            await self._means.seal(self._drained, force=False)
            await self._save(self._present.model_copy(update={"no_way_back": True, "waiting_for": ""}))

    @property
    def _is_final(self) -> bool:
        """Whether something may be turned on at Azure, or is sealed, be it that nobody has come to note that."""
        return self._present.no_way_back or bool(self._means.sealed())

    @property
    def _left_s(self) -> float:
        """Of the pause."""
        return self._present.max_pause_s - self._present.paused_s(utc_now())

    @property
    def _drained(self) -> list[str]:
        """Pipelines that are drained, and sealed, before Azure is activated."""
        return [name for name in self._pipelines if name not in self._present.held]

    async def _within_budget(self, step: Step) -> str:
        """Why it could not be done within what is left of the pause; empty when it was."""
        await self._begin(step)
        left_s = self._left_s
        expected_s = self._present.steps[-1].expected_s or 0.0
        if expected_s > left_s:
            return f"{step} is expected to take {expected_s:.1f} s, and {left_s:.1f} s of the pause are left"
        with anyio.move_on_after(left_s) as budget:
            try:
                await self._do(step)
            except ConfigurationError as error:
                return str(error)
        return self._too_long(f"in step {step}") if budget.cancelled_caught else ""

    def _too_long(self, when: str) -> str:
        """That the pause is over, and what was waited for then."""
        waited = f" while waiting for {self._present.waiting_for}" if self._present.waiting_for else ""
        return f"the pause of {self._present.max_pause_s:g} s was over {when}{waited}"

    async def _do(self, step: Step) -> None:
        means, by = self._means, self._present.by
        if step is Step.CORDON:
            await self._turn(lambda: means.triggers().cordon(by))
        elif step is Step.DRAIN:
            await means.drain(self._pipelines)
            await self._until(lambda: undrained(means, self._drained))
        elif step is Step.RELEASE:
            await means.release(self._present.held)
            await self._until(lambda: [*waiting_messages(means, self._present.held), *undrained(means, self._drained)])
        elif step is Step.ACTIVATE:
            await means.seal(self._drained, force=False)
            await self._wait_out(means.quiet, self._drained)
            await self._turn(lambda: means.triggers().activate(by))
        elif step is Step.TRAFFIC:
            await self._turn(lambda: means.triggers().traffic(by))
        else:
            await self._until(lambda: undrained(means, self._pipelines))
            await means.seal(self._pipelines, force=False)
            await self._wait_out(means.quiet, self._pipelines)

    async def _go_back(self) -> None:
        await self._turn(lambda: self._means.triggers().undo(self._present.by))
        await self._means.follow_again(self._pipelines)
        await self._change(lambda _: {"stage": Stage.UNDONE, "undone_at": utc_now()})
        self._log.warning("the switch was undone", reason=self._present.reason)

    async def _turn(self, turn: Callable[[], Awaitable[Progress]]) -> None:
        """Until every trigger is turned, those that a person must turn included."""
        while True:
            progress = await turn()
            pending = progress.pending
            self._wait_for("" if pending is None else f"{pending.place}: {pending.text} (sign it off)")
            if pending is None:
                return
            await anyio.sleep(LOOK_INTERVAL_S)

    async def _until(self, reasons: Callable[[], list[str]]) -> None:
        """Until nothing is in the way any more."""
        while found := reasons():
            self._wait_for("; ".join(found))
            await anyio.sleep(LOOK_INTERVAL_S)
        self._wait_for("")

    async def _wait_out(self, wait: Callable[[Sequence[str]], Awaitable[None]], pipelines: Sequence[str]) -> None:
        """Until what was begun cannot change a target any more; says meanwhile what that is."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell_under_way, pipelines)
            await wait(pipelines)
            tasks.cancel_scope.cancel()
        self._wait_for("")

    async def _tell_under_way(self, pipelines: Sequence[str]) -> None:
        while True:
            self._wait_for("; ".join(under_way(self._means, pipelines)))
            await anyio.sleep(LOOK_INTERVAL_S)

    def _is_held(self, name: str) -> bool:
        status = self._means.statuses.get(name)
        return status is not None and status.queue is not None and status.queue.held

    async def _insist(self, work: Callable[[], Awaitable[None]]) -> None:
        """Again and again, for there is no other way to go."""
        while True:
            try:
                await work()
            except ConfigurationError as error:
                self._wait_for(str(error))
                self._log.error("a step of the switch fails and is tried again", reason=str(error))
                await anyio.sleep(RETRY_INTERVAL_S)
            else:
                return

    @property
    def _present(self) -> Switched:
        assert self.told is not None, "only asked while a switch is under way"  # noqa: S101
        return self.told

    async def _begin(self, step: Step) -> None:
        """A step that was begun before a restart keeps its beginning."""
        if not any(taken.step is step for taken in self._present.steps):
            expected_s = self._means.cutover().expected_s if step is Step.DRAIN else None
            taken = Taken(step=step, began_at=utc_now(), expected_s=expected_s)
            self._log.info("step of the switch", step=step, expected_s=expected_s)
            await self._change(lambda told: {"steps": [*told.steps, taken]})

    async def _end(self, step: Step) -> None:
        ended = utc_now()

        def with_end(told: Switched) -> dict[str, object]:
            end = {"ended_at": ended}
            steps = [taken.model_copy(update=end) if taken.step is step else taken for taken in told.steps]
            return {"steps": steps, "waiting_for": ""}

        await self._change(with_end)

    def _wait_for(self, what: str) -> None:
        """Told, and not saved: it is looked at again after a restart."""
        self.told = self._present.model_copy(update={"waiting_for": what})

    async def _change(self, change: Callable[[Switched], dict[str, object]]) -> None:
        """One at a time, so that none undoes what an abort has just said."""
        async with self._lock:
            await self._save(self._present.model_copy(update=change(self._present)))

    async def _save(self, told: Switched) -> None:
        await self._store.save_note(EVERYWHERE, NOTE, told.model_dump_json())
        self.told = told

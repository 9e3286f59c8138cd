"""A migration as a process: opens every pipeline, runs them side by side, stops in two stages."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import structlog

from replicator.clocks import elapsed_s, utc_now
from replicator.config.models import MigrationConfig
from replicator.config.sides import sides_text
from replicator.cutover import Announcer, Cutover, Watch
from replicator.cutover.phases import least_phase
from replicator.cutover.probe import open_probe
from replicator.cutover.switching import Switching
from replicator.delivery import Fence
from replicator.engine.barrier import STOPPING, Answer
from replicator.engine.control import Control
from replicator.engine.lease import DaemonLease
from replicator.engine.letters import Letters
from replicator.engine.opening import Shared, connect, open_pipeline
from replicator.engine.ownership import Claim
from replicator.engine.pipeline import Pipeline
from replicator.engine.rounds import Ask, Note
from replicator.engine.status import Measured, Observer
from replicator.engine.verdict import SIDES_NOTE, Result, Verdict, is_begun_again, is_over, load_verdict
from replicator.errors import ConfigurationError
from replicator.model import Action, DeadLetter, Discarded, LetterCount, Phase, Retried
from replicator.naming import Naming, load_naming
from replicator.ports import StateStore
from replicator.registry import Registry
from replicator.replicas.channel import ChannelClosedError, Params, RefusedError
from replicator.replicas.leader import Answers, Leader
from replicator.replicas.member import Member
from replicator.replicas.network import Network, TlsNetwork
from replicator.replicas.sameness import fingerprint
from replicator.report import Evidence, Report
from replicator.report.beforehand import Beforehand
from replicator.report.freezing import Frozen, freeze, load_frozen, with_evidence
from replicator.report.gathering import UNREAD, Log, Now, gather, recent_lag
from replicator.report.history import History
from replicator.report.model import Lag
from replicator.report.recording import Recorder
from replicator.state.moving import require_usable
from replicator.status import AzureTriggers, NamedDrain, PipelineStatus, ReplicaStatus
from replicator.telemetry import Metrics
from replicator.triggers.opening import open_triggers
from replicator.triggers.triggers import Triggers
from replicator.triggers.turning import OURSELVES
from replicator.triggers.watching import azure_triggers

OBSERVE_INTERVAL_S = 1.0

SIZE_INTERVAL_S = 30.0

DEPTH_INTERVAL_S = 5.0

EXPIRE_INTERVAL_S = 60.0


class Daemon:
    """Runs one migration. `statuses` is what the outside may look at; it is replaced, never changed.

    `repair`: whether what differs at the end of mode copy is repaired and compared again.
    """

    def __init__(
        self,
        config: MigrationConfig,
        registry: Registry,
        store: StateStore,
        metrics: Metrics,
        *,
        adopt: bool,
        repair: bool = False,
        network: Network | None = None,
    ) -> None:
        self.config = config
        self.metrics = metrics
        self.statuses: dict[str, PipelineStatus] = {}
        self.started = anyio.Event()
        self._store = store
        self._adopt = adopt
        self._fence = Fence(config.limits.request_lifetime_s)
        self._shared = Shared(config, registry, store, self._fence, metrics, repair=repair)
        self._lease = DaemonLease(store, config.limits.lease_s, self._fence)
        self.leader: Leader | None = None
        self.member: Member | None = None
        if config.replicas is not None:
            alike, network = fingerprint(config), network or TlsNetwork()
            self.leader = self._shared.cluster = Leader(
                config.replicas, store, self._fence, self._lease.owner, alike, network, metrics
            )
            self.member = Member(self._shared, self._lease.owner, alike, network)
            self._lease.stand_by = self.member.work
        self.naming = Naming()
        self._letters = Letters(store, self.naming)
        self._pipelines: dict[str, Pipeline[Any]] = {}
        self._measured = {name: Measured() for name in config.pipelines}
        self._watch = Watch(config)
        self._announcer = Announcer(metrics)
        self._recorder = Recorder(store)
        self.beforehand = Beforehand(config, store, self.record, self._watch)
        following = [name for name in config.pipelines if name not in config.copied_once]
        self.switching = Switching(self, store, following)
        self._triggers: Triggers | None = None
        self._frozen: Frozen | None = None
        self._writing = self._leads = False
        self._everything = anyio.CancelScope()
        self._stopping = anyio.Event()

    async def run(self) -> bool:
        """Returns when stopped or, where all pipelines are in mode copy, when they are through or have failed.

        True when everything read was finished and saved, False when it was cut off or a copy was not found equal.

        Raises ConfigurationError before anything is written when something must be mended first.
        """
        drained = False
        with self._everything:
            try:
                self._leads = await self._lease.acquire() and not self._stopping.is_set()
                if not self._leads or await self._is_over():
                    return True
                await require_usable(self._store, self.config.state.place)
                async with anyio.create_task_group() as leasing:
                    leasing.start_soon(self._lease.keep)
                    async with AsyncExitStack() as stack:  # what is opened may have task groups, and ends before ours
                        await self._begin(stack)
                        await self._replicate()
                        drained = True
                    leasing.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._lease.release(self._linger_s(drained=drained))
        return not self.started.is_set() or (drained and await self._is_complete())

    def stop(self) -> None:
        """First call: nothing more is read, what was read is finished within the deadline. Second call: stops now."""
        if self.member is not None and not self._leads and not self._stopping.is_set():
            self.member.stop()
        elif self._stopping.is_set() or not self.started.is_set():
            self._everything.cancel()
        self._stopping.set()
        self._everything.deadline = anyio.current_time() + self.config.limits.drain_deadline_s
        for pipeline in self._pipelines.values():
            pipeline.drain()

    @property
    def leads(self) -> bool:
        """Whether it is alone, or the one of several replicas that all is asked of; not before it has the lease."""
        return self.member is None or self._leads

    @property
    def is_working(self) -> bool:
        """Whether it does not lead, and works for the one that does."""
        return self.member is not None and self.member.is_working

    def replicas(self) -> list[ReplicaStatus]:
        """All that work together, where there may be several."""
        return [] if self.leader is None else self.leader.seen()

    async def ask_leader(self, request: Params) -> Params | None:
        """What the HTTP interface of the one that leads answers; None where there is none at the moment."""
        if self.member is None:
            return None
        try:
            answer: Params = await self.member.ask("http", request)
        except (ChannelClosedError, RefusedError):
            return None
        return answer

    def answer_with(self, answers: Answers) -> None:
        """What answers requests that come to other replicas while this one leads."""
        if self.leader is not None:
            self.leader.answers = answers

    def cutover(self) -> Cutover:
        """Whether traffic may be moved at this moment; its gauges say so too from now on."""
        judged = self._watch.judge()
        self._announcer.tell(judged)
        return judged

    async def dead_letters(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]:
        """The open ones, as they are told; see `StateStore.dead_letters`."""
        return await self._letters.page(pipeline, limit, after)

    async def letter(self, pipeline: str, key: str) -> DeadLetter | None:
        """The open one of a key as it is told, whole; its payload and key are not for everybody."""
        keys = await self._letters.keys(pipeline, [key])
        return next(iter(await self._store.dead_letters_of(pipeline, list(keys.values()))), None)

    async def letter_counts(self, pipeline: str) -> list[LetterCount]:
        """All there ever were, by reason and outcome; see `StateStore.count_letters`."""
        return await self._store.count_letters(pipeline)

    def recent_lag(self, pipeline: str) -> Lag:
        """That of the last hour, as far as it was observed."""
        return recent_lag(self._recorder.histories.get(pipeline) or History())

    def control(self, pipeline: str) -> Control:
        """What may be changed about a pipeline. Raises ConfigurationError before it has begun."""
        return self._begun(pipeline).control

    async def retry(self, pipeline: str, keys: Sequence[str]) -> Retried:
        """Takes dead letters up again; see `Pipeline.retry`. Raises ConfigurationError also before it has begun."""
        told = await self._letters.keys(pipeline, keys)
        result = await self._begun(pipeline).retry(list(told.values()))
        return replace(result, unknown=tuple(name for name, key in told.items() if key in result.unknown))

    async def discard(self, pipeline: str, keys: Sequence[str]) -> Discarded:
        """Closes dead letters for good; see `Pipeline.discard`, and `retry` for what it raises."""
        begun = self._begun(pipeline)
        told = await self._letters.keys(pipeline, keys)
        letters = await self._store.dead_letters_of(pipeline, list(told.values()))
        known = {letter.key for letter in letters}
        closed = await begun.discard(letters)
        unknown = tuple(name for name, key in told.items() if key not in known)
        return Discarded(closed, len(letters) - closed, unknown)

    def drains(self) -> dict[str, NamedDrain | None]:
        """How the drain of each pipeline stands; None where there is no fence."""
        return {name: pipeline.draining.named for name, pipeline in self._pipelines.items()}

    async def drain(self, pipelines: Sequence[str]) -> None:
        """Sets the fence of each. Where one of them cannot be drained, none is. Raises ConfigurationError."""
        begun = [self._begun(name) for name in pipelines]
        for pipeline in begun:
            pipeline.draining.require_following()
        for pipeline in begun:
            await pipeline.draining.begin()

    async def release(self, pipelines: Sequence[str]) -> None:
        """Takes from held queues; see `Draining.release`."""
        for pipeline in [self._begun(name) for name in pipelines]:
            await pipeline.draining.release()

    def sealed(self) -> list[str]:
        """Pipelines whose replication has ended."""
        return [name for name, pipeline in self._pipelines.items() if pipeline.state.phase is Phase.SEALED]

    async def seal(self, pipelines: Sequence[str], *, force: bool) -> None:
        """Ends the replication of all of these; see `Draining.seal`. Where one of them may not be, none is."""
        begun = [self._begun(name) for name in pipelines]
        for pipeline in begun:
            pipeline.draining.require_drained(force=force)
        for pipeline in begun:
            await pipeline.seal(force=force)

    async def flushed(self, pipelines: Sequence[str]) -> None:
        """When it returns, what had been begun by its call cannot change their targets any more."""
        for pipeline in [self._begun(name) for name in pipelines]:
            await pipeline.flushed()

    async def quiet(self, pipelines: Sequence[str]) -> None:
        """Of those that are sealed: when it returns nothing is written to their targets any more, so others may."""
        for pipeline in [self._begun(name) for name in pipelines]:
            await pipeline.quiet()

    async def follow_again(self, pipelines: Sequence[str]) -> None:
        """Gives drains up; see `Draining.cancel`."""
        for pipeline in [self._begun(name) for name in pipelines]:
            await pipeline.draining.cancel()

    async def verify(self, pipelines: Sequence[str], ask: Ask) -> None:
        """Begins or joins a round of each; see `Pipeline.verify`. Where one of them cannot be verified, none is.

        Raises ConfigurationError also before they have begun.
        """
        begun = [self._begun(name) for name in pipelines]
        for pipeline in begun:
            pipeline.verifying.require_ready()
        for pipeline in begun:
            await pipeline.verify(ask)

    def verifications(self) -> dict[str, tuple[Note, dict[str, int]]]:
        """What is known of each pipeline's rounds, and of its messages by what became of them."""
        return {name: (p.verifying.note, p.verifying.ledger) for name, p in self._pipelines.items()}

    async def verdicts(self) -> dict[str, Verdict]:
        """What has come of each pipeline in mode copy so far."""
        return {name: await load_verdict(self._store, name) for name in self.config.copied_once}

    async def report(self, log: Log | None = None) -> Report:
        """The migration from its beginning until now. The audit log is read unless it is given."""
        live = await self._report_now(log)
        return live if self._frozen is None else await with_evidence(self._frozen, live, self._store, log)

    def evidence(self) -> Evidence:
        """The report as of the seal. Raises ConfigurationError where nothing was sealed."""
        if self._frozen is None:
            raise ConfigurationError("report", "the migration is not sealed yet", "Seal it, and ask a second later")
        return self._frozen.evidence

    async def _report_now(self, log: Log | None = None) -> Report:
        seen = self._triggers.seen if self._triggers else {}
        judged = self._watch.judge()
        now = Now(self.statuses, self._recorder.histories, judged, self.drains(), dict(seen))
        return await gather(self.config, self._store, now, log)

    async def wait(self, pipeline: str, keys: Sequence[str], timeout_s: float) -> Answer:
        """Until what was committed before the call is at the target; see `Barrier.wait`."""
        if pipeline not in self._pipelines:
            return STOPPING
        return await self._pipelines[pipeline].barrier.wait(keys, timeout_s)

    def pipelines(self) -> dict[str, Pipeline[Any]]:
        """By name; none before they have begun."""
        return dict(self._pipelines)

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None:
        """Notes what an operator does in the audit log, before it is done. Raises LeaseLostError."""
        structlog.get_logger().info("operator action", actor=actor, action=name, pipeline=pipeline, detail=detail)
        await self._store.add_action(Action(utc_now(), actor, name, pipeline, detail))

    async def actions(self, limit: int, after: int) -> list[Action]:
        """The audit log; see `StateStore.actions`."""
        return await self._store.actions(limit, after)

    def triggers(self) -> Triggers:
        """What switches the functions at both sides. Raises ConfigurationError before it has begun."""
        if self._triggers is None:
            raise ConfigurationError("triggers", "have not begun yet", "Wait until the status shows the pipelines")
        return self._triggers

    async def told(self) -> dict[str, object]:
        """What hooks are told. The audit log, which may be long, is not read for it."""
        judged = self.cutover()
        step = self._triggers.step if self._triggers else None
        return {
            "migration": self.config.migration,
            "step": step,
            "phase": judged.phase,
            "ready": judged.ready,
            "reasons": judged.reasons,
            "report": (await self.report(UNREAD)).model_dump(mode="json", exclude={"actions"}),
        }

    def _begun(self, pipeline: str) -> Pipeline[Any]:
        if pipeline not in self._pipelines:
            raise ConfigurationError(f"pipelines.{pipeline}", "has not begun yet", "Wait until the status shows it")
        return self._pipelines[pipeline]

    async def _begin(self, stack: AsyncExitStack) -> None:
        """Looks at everything first and writes only when every pipeline may begin."""
        self.naming = self._shared.naming = await load_naming(self._store, hashed=self.config.keys == "hashed")
        self._letters = Letters(self._store, self.naming)
        self._shared.again = is_begun_again([verdict.result for verdict in (await self.verdicts()).values()])
        opened = [
            await stack.enter_async_context(open_pipeline(name, config, self._shared))
            for name, config in self.config.pipelines.items()
        ]
        await self._require_same_sides()
        claims: dict[str, Claim] = {}
        for pipeline in opened:
            await connect(pipeline)
            claim = await pipeline.judge(adopt=self._adopt)
            if claim is not None:
                claims[pipeline.name] = claim
        for pipeline in opened:
            if pipeline.name in claims:
                self._writing = True
                await pipeline.target.create()
                await pipeline.take(claims[pipeline.name])
            else:
                await pipeline.recall()
        for name in self.config.copied_once:
            await self._store.save_note(name, SIDES_NOTE, sides_text(self.config.pipelines[name]))
        switches = await stack.enter_async_context(open_triggers(self.config, self._shared.registry, self.told))
        self._triggers = Triggers(switches, self._store, self.record)
        self._pipelines = {pipeline.name: pipeline for pipeline in opened}
        await self._recorder.begin(self._pipelines)
        self.switching.probe = await stack.enter_async_context(open_probe(self.config.cutover.probe))
        await self.switching.take_up()
        self._frozen = await load_frozen(self._store)
        await self.beforehand.take_up()

    async def _require_same_sides(self) -> None:
        """What is remembered of a copy says nothing of another source or target. Raises ConfigurationError."""
        for name in self.config.copied_once:
            known = await self._store.load_note(name, SIDES_NOTE)
            if known not in {None, sides_text(self.config.pipelines[name])} and not self._adopt:
                problem = "was copied from or to another place by this state store"
                fix = "Use another state store for another copy, or --adopt to take this one over"
                raise ConfigurationError(f"pipelines.{name}", problem, fix)

    async def _replicate(self) -> None:
        """Works, and looks at that meanwhile."""
        observers = {name: Observer(p, self.metrics) for name, p in self._pipelines.items()}
        async with anyio.create_task_group() as services:
            services.start_soon(self._observe, observers)
            services.start_soon(self._recorder.keep)
            services.start_soon(self._expire)
            services.start_soon(self.triggers().watch)
            services.start_soon(self.switching.run)
            if self.leader is not None:
                self.leader.pipelines = self._pipelines
                services.start_soon(self.leader.run)
            for pipeline in self._pipelines.values():
                services.start_soon(self._measure_size, pipeline)
                services.start_soon(self._measure_depth, pipeline)
            await self._work()
            services.cancel_scope.cancel()
        await self._look(observers)
        await self._recorder.save()

    async def _work(self) -> None:
        self.started.set()
        structlog.get_logger().info("replicating", migration=self.config.migration, pipelines=list(self._pipelines))
        async with anyio.create_task_group() as tasks:
            for pipeline in self._pipelines.values():
                tasks.start_soon(self._work_on, pipeline)
        if not self.config.is_copied_once:
            await self._stopping.wait()

    async def _work_on(self, pipeline: Pipeline[Any]) -> None:
        if not pipeline.is_failed:
            await pipeline.run()
        self._shared.meeting.leave(pipeline.name)

    async def _is_over(self) -> bool:
        """Whether another replica has copied everything, while this one helped or waited, and found it equal."""
        is_late = self.member is not None and self.config.is_copied_once and not self._adopt
        return is_late and await is_over(self.config, self._store)

    async def _is_complete(self) -> bool:
        """Whether each pipeline in mode copy has been copied and found equal, with nothing left out."""
        complete = True
        for name, verdict in (await self.verdicts()).items():
            structlog.get_logger().info(
                "copy ended", pipeline=name, result=verdict.result.value, dead_letters=verdict.dead_letters
            )
            complete = complete and verdict.result is Result.EQUAL
        return complete

    async def _observe(self, observers: Mapping[str, Observer]) -> None:
        """Every second."""
        while True:
            await self._look(observers)
            await anyio.sleep(OBSERVE_INTERVAL_S)

    async def _look(self, observers: Mapping[str, Observer]) -> None:
        """Snapshots, gauges, what they say about readiness, and what the report remembers of them."""
        begun_at = elapsed_s()
        statuses: dict[str, PipelineStatus] = {}
        for name, observer in observers.items():
            watermark = observer.watermark
            letters = await self._store.dead_letter_summary(name)
            status = observer.observe(watermark, letters, self._measured[name], self._fence.left_s)
            statuses[name] = status.model_copy(update={"azure_triggers": self._azure_triggers(name)})
        self._watch.take(statuses, begun_at)
        self.statuses = statuses
        self.cutover()
        self._recorder.see(statuses, {name: p.verifying.note.round for name, p in self._pipelines.items()})
        await self._freeze()

    async def _freeze(self) -> None:
        """Keeps the evidence once everything is sealed and clients are served, also where a crash came between."""
        is_sealed = least_phase(status.phase for status in self.statuses.values()) == Phase.SEALED
        told = self.switching.told
        is_over = told is None or (told.is_over and not told.is_measured(utc_now()))
        if self._frozen is None and is_sealed and is_over:
            self._frozen = await freeze(self._store, self._report_now, self._record_evidence)

    async def _record_evidence(self, frozen: Frozen) -> None:
        await self.record(OURSELVES, "freeze the evidence", "", f"sha256 {frozen.sha256}")

    def _azure_triggers(self, pipeline: str) -> AzureTriggers | None:
        twins = self.config.triggers.items()
        names = tuple(name for name, t in twins if t.pipeline == pipeline and t.azure is not None)
        return azure_triggers(self.triggers().seen, names, elapsed_s())

    async def _expire(self) -> None:
        """Forgets what records held whose time is over."""
        while True:
            before = utc_now() - timedelta(seconds=self.config.dead_letters.payload_ttl_s)
            forgotten = await self._store.expire_payloads(before)
            if forgotten:
                structlog.get_logger().info("payloads of dead letters have expired", count=forgotten)
            await anyio.sleep(min(EXPIRE_INTERVAL_S, self.config.dead_letters.payload_ttl_s))

    async def _measure_size(self, pipeline: Pipeline[Any]) -> None:
        """Now and then; a source that does not answer holds nothing else up."""
        while True:
            self._measure(pipeline, size=await pipeline.source.size())
            await anyio.sleep(SIZE_INTERVAL_S)

    async def _measure_depth(self, pipeline: Pipeline[Any]) -> None:
        while True:
            asked_at = elapsed_s()
            self._measure(pipeline, depth=await pipeline.source.depth(), depth_at=asked_at)
            await anyio.sleep(DEPTH_INTERVAL_S)

    def _measure(self, pipeline: Pipeline[Any], **found: Any) -> None:
        self._measured[pipeline.name] = replace(self._measured[pipeline.name], **found)

    def _linger_s(self, *, drained: bool) -> float:
        """How long a request of ours may still take effect: not at all before the first one, and once drained as long
        as those of unknown outcome. Whoever was cut off knows only when the last one can have been sent: just now.
        """
        if not self._writing:
            return 0.0
        granted_s = 0.0 if self.leader is None else self.leader.granted_s
        if not drained:
            return max(self._fence.lifetime_s, granted_s)
        latest = max((p.delivery.suspects.latest for p in self._pipelines.values()), default=float("-inf"))
        return max(granted_s, latest - elapsed_s())

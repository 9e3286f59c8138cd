"""What the leader has to do with one member: the partitions it was given, what it is granted, what it reports."""

import hmac
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import structlog
from anyio.abc import ByteStream

from replicator.clocks import elapsed_s
from replicator.delivery import Fence
from replicator.engine.pipeline import Pipeline
from replicator.engine.placing import Assignment
from replicator.errors import PositionLostError
from replicator.model import Budgets, Checkpoint
from replicator.ports import StateStore
from replicator.replicas.channel import MOST_BYTES, Channel, ChannelClosedError, Handler, Params, RefusedError
from replicator.replicas.wire import ASSIGNMENT, CHECKPOINT, LETTERS, REJECTIONS, REPORTS, SHARES, VERSION

JOIN_WITHIN_S = 5.0

MOST_BYTES_OF_A_STRANGER = 16_384
"""Of a message before the token was seen."""

UNWILLING_S = 60.0
"""A member that could not open a pipeline is not asked again for so long."""


class Given:
    """One partition at the member. `saved` is what the store has of it."""

    def __init__(self, assignment: Assignment, advanced: Callable[[Checkpoint], None], ask: Callable[[], None]) -> None:
        self.assignment = assignment
        self.saved = assignment.checkpoint
        self.is_revoked = self.was_lost = False
        self._advanced = advanced
        self._serial = 0
        self._ask = ask
        self._over = anyio.Event()
        self._free_at = float("-inf")
        self._problem = ""

    def revoke(self) -> None:
        """See `Assigned`."""
        if not (self.is_revoked or self._over.is_set()):
            self.is_revoked = True
            self._ask()

    def advance(self, serial: int, checkpoint: Checkpoint) -> None:
        """It has come so far. What was said before is not heeded any more, nor is its end before it is released: until
        then a request of the member may be in doubt.
        """
        if serial > self._serial and not checkpoint.finished:
            self._serial = serial
            self._advanced(checkpoint)

    def over(self, free_at: float, problem: str = "") -> None:
        """It is not at the member any more, whose last request may take effect until `free_at`, by `elapsed_s`."""
        self._free_at, self._problem = free_at, problem
        self._over.set()

    async def released(self) -> Checkpoint:
        """See `Assigned`."""
        await self._over.wait()
        await anyio.sleep(max(0.0, self._free_at - elapsed_s()))
        if self._problem:
            raise PositionLostError(self._problem)
        return self.saved


class Session:
    """One connection of a member. `joined` is called when it is known and may be given something."""

    def __init__(
        self,
        stream: ByteStream,
        store: StateStore,
        fence: Fence,
        token: str,
        fingerprint: str,
        pipelines: Mapping[str, Pipeline[Any]],
        answers: Handler,
    ) -> None:
        self.name = "unknown"
        self.given: dict[int, Given] = {}
        self.granted_until = elapsed_s() + JOIN_WITHIN_S
        self.joined: Callable[[], None] = lambda: None
        self._store = store
        self._fence = fence
        self._token = token
        self._fingerprint = fingerprint
        self._pipelines = pipelines
        self._heard_at = elapsed_s()
        self._numbers = itertools.count(1)
        self._shares: dict[str, Budgets] = {}
        self._unwilling: dict[str, float] = {}
        self._has_joined = self._is_leaving = False
        self._outbox, self._sending = anyio.create_memory_object_stream[tuple[str, Params]](math.inf)
        known: dict[str, Handler] = {"join": self._join}
        calls: dict[str, Handler] = {
            "beat": self._beat,
            "save": self._save,
            "released": self._released,
            "leave": self._leave,
            "http": answers,
            "add_dead_letters": self._add_letters,
            "dead_letters_of": self._letters_of,
            "resolve_dead_letters": self._resolve,
            "discarded": self._discarded,
        }
        known.update({name: self._of_member(call) for name, call in calls.items()})
        self._channel = Channel(stream, known, {"advanced": self._advanced})
        self._channel.most_bytes = MOST_BYTES_OF_A_STRANGER

    async def serve(self) -> None:
        """Until the connection ends, or the member is not heard of for as long as it was granted."""
        async with self._outbox, self._sending, anyio.create_task_group() as tasks:
            tasks.start_soon(self._send)
            tasks.start_soon(self._watch)
            await self._channel.serve()
            tasks.cancel_scope.cancel()

    def lose(self) -> None:
        """The member is gone: what it was given is free once nothing of it can take effect any more."""
        for given in self.given.values():
            given.was_lost = True
            given.over(self.granted_until)
        self.given.clear()
        for pipeline in self._pipelines.values():
            pipeline.telemetry.forget(self)

    @property
    def heard_s(self) -> float:
        """How long ago its last beat was."""
        return elapsed_s() - self._heard_at

    def is_willing(self, pipeline: str | None) -> bool:
        """Whether it may be given partitions, of this pipeline if one is named."""
        if not self._has_joined or self._is_leaving:
            return False
        return pipeline is None or self._unwilling.get(pipeline, float("-inf")) < elapsed_s()

    def give(self, assignment: Assignment, advanced: Callable[[Checkpoint], None]) -> Given:
        """Assigns a partition to it."""
        number = next(self._numbers)
        given = Given(assignment, advanced, lambda: self._tell("revoke", {"number": number}))
        self.given[number] = given
        self._tell("assign", {"number": number, "assignment": ASSIGNMENT.write(assignment)})
        return given

    def share(self, shares: Mapping[str, Budgets]) -> None:
        """Tells it what it may take, by pipeline, if that is news."""
        if shares != self._shares:
            self._shares = dict(shares)
            self._tell("budgets", {"shares": SHARES.write(self._shares)})

    @property
    def is_revoking(self) -> bool:
        """Whether something is on its way back."""
        return any(given.is_revoked for given in self.given.values())

    def revoke(self, count: int) -> None:
        """Asks for so many partitions back, those it was given last."""
        for given in list(self.given.values())[::-1][:count]:
            given.revoke()

    def _tell(self, method: str, params: Params) -> None:
        self._outbox.send_nowait((method, params))

    async def _send(self) -> None:
        async for method, params in self._sending:
            try:
                await self._channel.tell(method, params)
            except ChannelClosedError:
                return

    async def _watch(self) -> None:
        while (left_s := self.granted_until - elapsed_s()) > 0:  # noqa: ASYNC110 — exactly as long as it must
            await anyio.sleep(left_s)
        structlog.get_logger().warning("a replica is not heard of any more", replica=self.name)
        await self._channel.close()

    async def _join(self, params: Params) -> float:
        if not hmac.compare_digest(str(params.get("token")).encode(), self._token.encode()):
            raise RefusedError("the token is not mine")
        if params.get("version") != VERSION or params.get("fingerprint") != self._fingerprint:
            raise RefusedError("another version, or another config")
        self._channel.most_bytes = MOST_BYTES
        self.name = str(params["name"])
        self._has_joined = True
        self.joined()
        return self._grant()

    async def _beat(self, params: Params) -> float:
        for name, report in REPORTS.read(params["reports"]).items():
            if name in self._pipelines:
                self._pipelines[name].telemetry.take(self, report)
        return self._grant()

    def _grant(self) -> float:
        """For how many seconds from before it asked the member may have requests under way."""
        left_s, self._heard_at = self._fence.left_s, elapsed_s()
        self.granted_until = max(self.granted_until, elapsed_s() + left_s)
        return left_s

    async def _save(self, params: Params) -> None:
        given, checkpoint = self._at(params), CHECKPOINT.read(params["checkpoint"])
        with anyio.CancelScope(shield=True):  # one that is given up half-way might overwrite what comes after
            await self._store.save_checkpoints(given.assignment.pipeline, [checkpoint])
        given.saved = checkpoint
        given.advance(params["serial"], checkpoint)

    def _advanced(self, params: Params) -> None:
        if self._has_joined and params["number"] in self.given:
            self.given[params["number"]].advance(params["serial"], CHECKPOINT.read(params["checkpoint"]))

    async def _leave(self, params: Params) -> None:
        """It is being stopped: it gets nothing more, and gives all back."""
        self._is_leaving = True
        self.revoke(len(self.given))

    async def _released(self, params: Params) -> None:
        given = self._at(params)
        if params["declined"]:
            self._unwilling[given.assignment.pipeline] = elapsed_s() + UNWILLING_S
        del self.given[params["number"]]
        given.over(elapsed_s() + params["linger_s"], params["lost"])

    async def _add_letters(self, params: Params) -> None:
        rejections = REJECTIONS.read(params["rejections"])
        await self._store.add_dead_letters(params["pipeline"], params["partition"], rejections)
        self._pipelines[params["pipeline"]].refused_elsewhere()

    async def _letters_of(self, params: Params) -> object:
        return LETTERS.write(await self._store.dead_letters_of(params["pipeline"], params["keys"]))

    async def _resolve(self, params: Params) -> int:
        return await self._store.resolve_dead_letters(LETTERS.read(params["letters"]))

    async def _discarded(self, params: Params) -> dict[str, str]:
        return await self._store.discarded(params["pipeline"], params["keys"])

    def _at(self, params: Params) -> Given:
        if params["number"] not in self.given:
            raise RefusedError("this partition is not yours")
        return self.given[params["number"]]

    def _of_member(self, call: Handler) -> Handler:
        async def checked(params: Params) -> Any:
            if not self._has_joined:
                raise RefusedError("join first")
            return await call(params)

        return checked

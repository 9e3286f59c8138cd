"""The switch over HTTP: begun, looked at, and led back."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from replicator.api.access import Access
from replicator.api.answers import refusals, refused
from replicator.clocks import utc_now
from replicator.cutover.pause import Probed
from replicator.cutover.switched import Stage, Switched
from replicator.cutover.switching import Switching
from replicator.status import Instant


class Switches(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    @property
    def switching(self) -> Switching: ...

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None: ...


class Ask(BaseModel):
    """How long triggers of both sides may be off together."""

    model_config = ConfigDict(extra="forbid")

    max_pause_s: float = Field(gt=0, le=86_400, description="The pause budget, from the cordon to the activation.")


class StepTold(BaseModel):
    """A step that was begun. `expected_s` and `ended_at` are null where they are not known."""

    step: str
    began_at: Instant
    ended_at: Instant | None
    expected_s: float | None


class ProbeTold(BaseModel):
    """What clients saw, as the probe measured it. `pause_s` is the longest time without a request that worked, and only
    what was seen of it while it is `failing`. `paused_from` and `paused_to` are null where there was none that is over.
    """

    attempts: int
    failures: int
    failing: bool
    pause_s: float
    paused_from: Instant | None
    paused_to: Instant | None


class SwitchTold(BaseModel):
    """The latest switch; `stage` is null where there was none. `paused_s` is how long the pause has lasted, or did;
    `no_way_back` whether something is sealed, or may be turned on at Azure; `probe` is null where nothing is measured.
    """

    stage: Stage | None
    began_at: Instant | None = None
    by: str = ""
    max_pause_s: float | None = None
    paused_s: float | None = None
    steps: list[StepTold] = Field(default_factory=list)
    reason: str = ""
    waiting_for: str = ""
    no_way_back: bool = False
    probe: ProbeTold | None = None


def router(daemon: Switches, access: Access) -> APIRouter:
    """The routes of /v1/cutover/switch. What a step waits for may name records, so all are for those who may."""
    routes = APIRouter(prefix="/v1/cutover/switch")

    @routes.get("", summary="How the latest switch stands", dependencies=[Depends(access)])
    async def look() -> SwitchTold:
        return _told(daemon.switching.told)

    @routes.post("", summary="Switch within a pause budget, or lead back to what was", responses=refusals(409))
    async def begin(ask: Ask, actor: Annotated[str, Depends(access)]) -> SwitchTold:
        with refused():
            daemon.switching.require_possible(ask.max_pause_s)
            await daemon.record(actor, "switch", "", f"within a pause of {ask.max_pause_s:g} s")
            await daemon.switching.begin(max_pause_s=ask.max_pause_s, by=actor)
        return _told(daemon.switching.told)

    @routes.post("/abort", summary="Lead back, before anything is sealed", responses=refusals(409))
    async def abort(actor: Annotated[str, Depends(access)]) -> SwitchTold:
        with refused():
            daemon.switching.require_reversible()
            await daemon.record(actor, "abort the switch")
            await daemon.switching.abort(f"aborted by {actor}")
        return _told(daemon.switching.told)

    return routes


def _told(switched: Switched | None) -> SwitchTold:
    if switched is None:
        return SwitchTold(stage=None)
    return SwitchTold(
        stage=switched.stage,
        began_at=switched.began_at,
        by=switched.by,
        max_pause_s=switched.max_pause_s,
        paused_s=switched.paused_s(utc_now()),
        steps=[StepTold(**dict(taken)) for taken in switched.steps],
        reason=switched.reason,
        waiting_for=switched.waiting_for,
        no_way_back=switched.no_way_back,
        probe=_probe(switched.probe),
    )


def _probe(probed: Probed | None) -> ProbeTold | None:
    if probed is None:
        return None
    return ProbeTold(
        attempts=probed.attempts,
        failures=probed.failures,
        failing=probed.failing,
        pause_s=probed.pause_s,
        paused_from=probed.longest.began_at if probed.longest else None,
        paused_to=probed.longest.ended_at if probed.longest else None,
    )

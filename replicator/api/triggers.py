"""Triggers over HTTP: what is known of them, the steps, and what people sign off."""

from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from replicator.api.access import Access
from replicator.api.answers import refusals, refused
from replicator.clocks import elapsed_s
from replicator.cutover.switching import Switching
from replicator.status import Instant
from replicator.triggers.looking import Seen
from replicator.triggers.model import Place, Planned, Progress, Side, Step
from replicator.triggers.note import Note
from replicator.triggers.triggers import Triggers


class Switches(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    @property
    def switching(self) -> Switching: ...

    def triggers(self) -> Triggers: ...


class TriggerTold(BaseModel):
    """One trigger. `enabled` null is unknown: then `failure` says why, or nobody can look at it. `age_s` is how long
    ago it was looked at, null for never. `changed`: it is, or may be, as it is by a step; `before` is how it was then.
    """

    name: str
    side: Side
    pipeline: str
    enabled: bool | None
    settled: bool
    detail: str
    failure: str
    age_s: float | None
    changed: bool
    before: bool | None
    signed_by: str
    signed_at: Instant | None


class TriggersTold(BaseModel):
    """All of them, in the order of the config. `step` is what is under way."""

    step: Step | None
    triggers: list[TriggerTold]


class PlannedTold(BaseModel):
    """What a step would do to one trigger: from `now` to `to`. `manual` is what a person has to do."""

    name: str
    side: Side
    now: bool | None
    to: bool | None
    change: bool
    manual: str
    detail: str


class PendingTold(BaseModel):
    """What a person must do, and sign off as `step`."""

    name: str
    step: str
    text: str


class StepTold(BaseModel):
    """How far a step has come. `planned` is that of a dry run, null otherwise; `done` are triggers like `orders.aws`.

    `complete` is false while somebody must do something first, which is `pending`; and after a dry run.
    """

    step: Step
    complete: bool
    done: list[str]
    pending: PendingTold | None
    planned: list[PlannedTold] | None


class Take(BaseModel):
    """Whether nothing is to be done but to say what would be."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = False


class SignOff(BaseModel):
    """That a trigger which nobody can look at is off or on."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=63, description="The entry point.")
    step: Literal["aws-off", "aws-on", "azure-off", "azure-on", "traffic-off", "traffic-on"] = Field(
        description="What has been done."
    )


def router(daemon: Switches, access: Access) -> APIRouter:
    """The routes below /v1/triggers."""
    routes = APIRouter(prefix="/v1/triggers")

    @routes.get("", summary="Every trigger as it was seen last", responses=refusals(409))
    async def triggers() -> TriggersTold:
        with refused():
            known = daemon.triggers()
            note = await known.note()
        now = elapsed_s()
        return TriggersTold(step=known.step, triggers=[_trigger(known, place, note, now) for place in known.places])

    @routes.post("/sign-off", summary="Say that a person has done a step", responses=refusals(409))
    async def sign_off(done: SignOff, actor: Annotated[str, Depends(access)]) -> TriggersTold:
        with refused():
            await daemon.triggers().sign_off(done.name, done.step, actor)
        return await triggers()

    @routes.post("/cordon", summary="Turn the AWS sides off", responses=refusals(409))
    async def cordon(take: Take, actor: Annotated[str, Depends(access)]) -> StepTold:
        return await _step(daemon, Step.CORDON, take, actor)

    @routes.post("/activate", summary="Turn the Azure sides on", responses=refusals(409))
    async def activate(take: Take, actor: Annotated[str, Depends(access)]) -> StepTold:
        return await _step(daemon, Step.ACTIVATE, take, actor)

    @routes.post("/traffic", summary="Lead callers to Azure", responses=refusals(409))
    async def traffic(take: Take, actor: Annotated[str, Depends(access)]) -> StepTold:
        return await _step(daemon, Step.TRAFFIC, take, actor)

    @routes.post("/undo", summary="Put everything back as it was", responses=refusals(409))
    async def undo(take: Take, actor: Annotated[str, Depends(access)]) -> StepTold:
        return await _step(daemon, Step.UNDO, take, actor)

    return routes


async def _step(daemon: Switches, step: Step, take: Take, actor: str) -> StepTold:
    with refused():
        known = daemon.triggers()
        if take.dry_run:
            planned = [_planned(each) for each in await known.plan(step)]
            return StepTold(step=step, complete=False, done=[], pending=None, planned=planned)
        if step is Step.UNDO:
            daemon.switching.require_idle()
        steps = {
            Step.CORDON: known.cordon,
            Step.ACTIVATE: known.activate,
            Step.TRAFFIC: known.traffic,
            Step.UNDO: known.undo,
        }
        return _progress(await steps[step](actor))


def _progress(progress: Progress) -> StepTold:
    waits = progress.pending
    pending = None if waits is None else PendingTold(name=waits.place.name, step=waits.step, text=waits.text)
    return StepTold(
        step=progress.step,
        complete=progress.complete,
        done=[str(place) for place in progress.done],
        pending=pending,
        planned=None,
    )


def _planned(planned: Planned) -> PlannedTold:
    return PlannedTold(
        name=planned.place.name,
        side=planned.place.side,
        now=planned.now,
        to=planned.to,
        change=planned.change,
        manual=planned.manual,
        detail=planned.detail,
    )


def _trigger(known: Triggers, place: Place, note: Note, now: float) -> TriggerTold:
    seen = known.seen.get(place, Seen(None, now))
    state, change, signed = seen.state, note.change(place), note.signed.get(str(place))
    return TriggerTold(
        name=place.name,
        side=place.side,
        pipeline=known.pipeline(place),
        enabled=None if state is None else state.enabled,
        settled=state is not None and state.settled,
        detail="" if state is None else state.detail,
        failure=seen.failure,
        age_s=now - seen.at if place in known.seen else None,
        changed=change is not None and change.is_ours,
        before=None if change is None else change.before,
        signed_by="" if signed is None else signed.who,
        signed_at=None if signed is None else signed.at,
    )

"""What was done before the migration, recorded over HTTP: rehearsals and estimates."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from replicator.api.access import Access
from replicator.api.answers import refusals, refused
from replicator.cutover.rehearsal import Claim, Rehearsal
from replicator.report.beforehand import Beforehand
from replicator.report.model import Estimates
from replicator.status import Instant

Seconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
StepName = Annotated[str, Field(min_length=1, max_length=63)]


class Records(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    beforehand: Beforehand


class Estimated(BaseModel):
    """What was estimated, when, in seconds by pipeline and step. Leave out what is unknown, or never ends."""

    model_config = ConfigDict(extra="forbid")

    made_at: Instant
    pipelines: dict[str, Annotated[dict[StepName, Seconds], Field(max_length=20)]] = Field(min_length=1)


class Recorded(BaseModel):
    """How many pipelines it was recorded for."""

    recorded: int


def router(daemon: Records, access: Access) -> APIRouter:
    """The routes /v1/rehearsal and /v1/estimate."""
    routes = APIRouter()

    @routes.post("/v1/rehearsal", summary="Record a rehearsal of this config", responses=refusals(409))
    async def rehearsal(claim: Claim, actor: Annotated[str, Depends(access)]) -> Rehearsal:
        with refused():
            return await daemon.beforehand.rehearsed(claim, actor)

    @routes.post("/v1/estimate", summary="Record what was estimated beforehand", responses=refusals(409))
    async def estimate(made: Estimated, actor: Annotated[str, Depends(access)]) -> Recorded:
        with refused():
            await daemon.beforehand.estimated(Estimates(made_at=made.made_at, pipelines=made.pipelines), actor)
        return Recorded(recorded=len(made.pipelines))

    return routes

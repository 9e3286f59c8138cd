"""Waiting over HTTP, and what a client must know of the pipelines to do so.

To wait is no action of an operator and so is not in the audit log, which would grow with every write of an application.
It has what is written at the source written at the target sooner, and so needs the token all the same.
"""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field, model_validator

from replicator.api.access import Access
from replicator.api.answers import refusals
from replicator.config.models import MigrationConfig
from replicator.engine.barrier import Answer, Verdict
from replicator.engine.pipeline import Pipeline

MOST_KEYS = 100
"""Keys in one request: those of a transaction."""

MOST_KEY_CHARACTERS = 32_768
"""More than the text of any key has."""

MOST_TIMEOUT_S = 300.0

STATUS = {
    Verdict.LATE: 504,
    Verdict.REFUSED: 409,
    Verdict.INVALID: 422,
    Verdict.UNAVAILABLE: 503,
    Verdict.CROWDED: 429,
}

Key = Annotated[str, Field(min_length=1, max_length=MOST_KEY_CHARACTERS)]


class KeepsBarriers(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig

    def pipelines(self) -> Mapping[str, Pipeline[Any]]: ...

    async def wait(self, pipeline: str, keys: Sequence[str], timeout_s: float) -> Answer: ...


class Wait(BaseModel):
    """What is waited for: a record by the text of its key, some, or everything."""

    model_config = ConfigDict(extra="forbid")

    key: Key | None = Field(default=None, description="The text of a key, as dead letters show it.")
    keys: list[Key] | None = Field(default=None, min_length=1, max_length=MOST_KEYS, description="Several of them.")
    timeout_s: float = Field(default=10.0, gt=0, le=MOST_TIMEOUT_S, description="How long to wait at most.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Wait":
        if self.key is not None and self.keys is not None:
            raise ValueError("give key or keys, not both")
        return self

    @property
    def asked(self) -> list[str]:
        """All keys; none for everything."""
        return self.keys or ([] if self.key is None else [self.key])


class Settled(BaseModel):
    """What was written before the call is at the target."""

    settled: Literal[True] = True
    waited_s: float


class Known(BaseModel):
    """A pipeline as a client needs it. `source` is the type and what of it can be told apart by; `barriers` says what
    may be waited for: `all`, `keys` or `nothing`.
    """

    name: str
    mode: str
    type: str
    source: tuple[str, ...]
    key_names: tuple[str, ...]
    barriers: str


class Pipelines(BaseModel):
    """All pipelines of the migration."""

    pipelines: list[Known]


def router(daemon: KeepsBarriers, access: Access) -> APIRouter:
    """The routes below /v1/pipelines that clients of applications use."""
    routes = APIRouter(prefix="/v1/pipelines")

    @routes.get(
        "", summary="What a client must know of each pipeline; 503 until they have begun", responses=refusals(503)
    )
    async def listing() -> Pipelines:
        if not daemon.pipelines():
            raise HTTPException(503, "starting")
        return Pipelines(pipelines=[_known(daemon.config, pipeline) for pipeline in daemon.pipelines().values()])

    @routes.post(
        "/{name}/barrier",
        summary="Wait until what was written at the source before the call is at the target",
        dependencies=[Depends(access)],
        responses=refusals(404, 409, 429, 503, 504),
    )
    async def barrier(name: str, wait: Wait) -> Settled:
        if name not in daemon.config.pipelines:
            raise HTTPException(404, f"there is no pipeline {name}")
        begun = monotonic()
        answer = await daemon.wait(name, wait.asked, wait.timeout_s)
        if answer.verdict is not Verdict.SETTLED:
            raise HTTPException(STATUS[answer.verdict], answer.reason)
        return Settled(waited_s=round(monotonic() - begun, 6))

    return routes


def _known(config: MigrationConfig, pipeline: Pipeline[Any]) -> Known:
    configured = config.pipelines[pipeline.name]
    return Known(
        name=pipeline.name,
        mode=configured.mode,
        type=configured.source.type,
        source=configured.source.place,
        key_names=pipeline.source.key_names,
        barriers=pipeline.source.barriers.value,
    )

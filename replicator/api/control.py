"""Pause, resume and budgets over HTTP."""

import math
from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field, model_validator

from replicator.api.access import Access
from replicator.api.answers import refusals, refused
from replicator.config.models import MigrationConfig
from replicator.engine.control import Control

CONFIGURED = "config"
UNLIMITED = "none"

Rate = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class Controlled(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig

    def control(self, pipeline: str) -> Control: ...

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None: ...


class Paused(BaseModel):
    """Whether the pipeline is paused now."""

    paused: bool


class Limit(BaseModel):
    """A budget as it is in force, and as it is configured. Null is no limit."""

    now: float | None
    configured: float | None


class Limits(BaseModel):
    """The budgets of a pipeline. `source_units` is null where reading costs production nothing."""

    source_units: Limit | None
    target_units: Limit
    concurrency: Limit


class Changes(BaseModel):
    """Budgets to be changed; `config` takes one back to what is configured, `none` is no limit."""

    model_config = ConfigDict(extra="forbid")

    source_units: Rate | Literal["config"] | None = None
    target_units: Rate | Literal["config", "none"] | None = None
    concurrency: Annotated[int, Field(ge=1, le=1000)] | Literal["config"] | None = None

    @model_validator(mode="after")
    def _something(self) -> "Changes":
        if not self.named:
            raise ValueError("name at least one budget")
        return self

    @property
    def named(self) -> dict[str, float | str]:
        """Those that are to be changed."""
        return {name: value for name, value in self if value is not None}


def router(daemon: Controlled, access: Access) -> APIRouter:
    """The routes below /v1/pipelines that control one."""
    routes = APIRouter(prefix="/v1/pipelines/{name}", responses=refusals(404, 409))

    def control(name: str) -> Control:
        if name not in daemon.config.pipelines:
            raise HTTPException(404, f"there is no pipeline {name}")
        with refused():
            return daemon.control(name)

    @routes.post("/pause", summary="Read nothing more, until it is resumed")
    async def pause(name: str, actor: Annotated[str, Depends(access)]) -> Paused:
        pipeline = control(name)
        with refused():
            await daemon.record(actor, "pause", name)
            await pipeline.pause()
        return Paused(paused=True)

    @routes.post("/resume", summary="Go on reading")
    async def resume(name: str, actor: Annotated[str, Depends(access)]) -> Paused:
        pipeline = control(name)
        with refused():
            await daemon.record(actor, "resume", name)
            await pipeline.resume()
        return Paused(paused=False)

    @routes.get("/budgets", summary="What the pipeline may take from both sides")
    async def budgets(name: str) -> Limits:
        return _limits(control(name))

    @routes.post("/budgets", summary="Change what the pipeline may take")
    async def change(name: str, changes: Changes, actor: Annotated[str, Depends(access)]) -> Limits:
        pipeline = control(name)
        with refused():
            told = ", ".join(f"{budget} {value}" for budget, value in changes.named.items())
            await daemon.record(actor, "change budgets", name, told)
            await pipeline.limit({budget: _units(value) for budget, value in changes.named.items()})
        return _limits(pipeline)

    return routes


def _units(value: float | str) -> float | None:
    if value == UNLIMITED:
        return math.inf
    return None if isinstance(value, str) else value


def _limits(control: Control) -> Limits:
    now, configured = control.budgets, control.configured
    source = None if now.source_units is None else _limit(now.source_units, configured.source_units)
    return Limits(
        source_units=source,
        target_units=_limit(now.target_units, configured.target_units),
        concurrency=_limit(now.concurrency, configured.concurrency),
    )


def _limit(now: float | None, configured: float | None) -> Limit:
    return Limit(now=_shown(now), configured=_shown(configured))


def _shown(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value

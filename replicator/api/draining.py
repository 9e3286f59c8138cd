"""Draining over HTTP: the fence, the release of held queues, and the way back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Protocol

import anyio
from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field, model_validator

from replicator.api.access import Access
from replicator.api.answers import refusals, refused
from replicator.config.models import MigrationConfig
from replicator.cutover.switching import Switching
from replicator.status import NamedDrain

QUIET_WITHIN_S = 10.0
"""So long the answer to a seal waits until nothing can reach the targets any more; then it says what still may."""


class Drains(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig

    @property
    def switching(self) -> Switching: ...

    def drains(self) -> Mapping[str, NamedDrain | None]: ...

    async def drain(self, pipelines: Sequence[str]) -> None: ...

    async def release(self, pipelines: Sequence[str]) -> None: ...

    async def seal(self, pipelines: Sequence[str], *, force: bool) -> None: ...

    async def quiet(self, pipelines: Sequence[str]) -> None: ...

    def sealed(self) -> list[str]: ...

    async def follow_again(self, pipelines: Sequence[str]) -> None: ...

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None: ...


class Which(BaseModel):
    """Which pipelines are meant."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str | None = Field(
        default=None, max_length=63, description="Only this one; by default all that follow something."
    )


class Seal(BaseModel):
    """That the replication is to end, and why that is right although it is not proven."""

    model_config = ConfigDict(extra="forbid")

    force: bool = Field(default=False, description="Also what is not drained.")
    reason: str = Field(
        default="", max_length=500, description="For the audit log and the report; required where it is forced."
    )

    @model_validator(mode="after")
    def _forced_for_a_reason(self) -> "Seal":
        if self.force and not self.reason.strip():
            raise ValueError("say why: reason is required with force")
        return self


class Fenced(BaseModel):
    """How the drain of each pipeline stands, by name; null where there is no fence. `drained`: all of them are."""

    drained: bool
    pipelines: dict[str, NamedDrain | None]


def router(daemon: Drains, access: Access) -> APIRouter:
    """The routes below /v1/cutover that change something."""
    routes = APIRouter(prefix="/v1/cutover", responses=refusals(404, 409))

    @routes.get(
        "/drain",
        summary="How the drain of each pipeline stands, and what is in its way",
        dependencies=[Depends(access)],
    )
    async def drains() -> Fenced:
        return _fenced(daemon)

    async def act(which: Which, actor: str, name: str, do: Callable[[Sequence[str]], Awaitable[None]]) -> Fenced:
        names = _named(daemon, which)
        with refused():
            daemon.switching.require_idle()
            await daemon.record(actor, name, which.pipeline or "")
            await do(names)
        return _fenced(daemon)

    @routes.post("/drain", summary="Set the fence: from now on nobody is to write the sources")
    async def drain(which: Which, actor: Annotated[str, Depends(access)]) -> Fenced:
        return await act(which, actor, "drain", daemon.drain)

    @routes.post("/release", summary="Take from queues that are held, while draining")
    async def release(which: Which, actor: Annotated[str, Depends(access)]) -> Fenced:
        return await act(which, actor, "release held queues", daemon.release)

    @routes.post("/abort", summary="Back to following; queues are held again")
    async def abort(which: Which, actor: Annotated[str, Depends(access)]) -> Fenced:
        _require_unsealed(daemon, which)
        return await act(which, actor, "abort the drain", daemon.follow_again)

    @routes.post("/seal", summary="End the replication for good; what is written at the sources is only noticed then")
    async def seal(request: Seal, actor: Annotated[str, Depends(access)]) -> Fenced:
        names = _named(daemon, Which())
        with refused():
            if not request.force:  # which is how one that can never be proven comes to its end
                daemon.switching.require_idle()
            await daemon.record(actor, "seal by force" if request.force else "seal", "", request.reason)
            await daemon.seal(names, force=request.force)
        with anyio.move_on_after(QUIET_WITHIN_S):
            await daemon.quiet(names)
        return _fenced(daemon)

    return routes


def _named(daemon: Drains, which: Which) -> list[str]:
    pipelines = daemon.config.pipelines
    if which.pipeline is None:
        return [name for name, config in pipelines.items() if config.mode != "copy"]
    if which.pipeline not in pipelines:
        raise HTTPException(404, f"there is no pipeline {which.pipeline}")
    return [which.pipeline]


def _require_unsealed(daemon: Drains, which: Which) -> None:
    """What is sealed does not follow again."""
    names = _named(daemon, which)
    for name in daemon.sealed():
        if name in names:
            raise HTTPException(409, f"pipelines.{name}: is sealed. Its replication has ended for good")


def _fenced(daemon: Drains) -> Fenced:
    found = dict(daemon.drains())
    fences = [drain for drain in found.values() if drain is not None]
    drained = bool(fences) and all(drain.drained_at is not None for drain in fences)
    return Fenced(drained=drained, pipelines=found)

"""Dead letters over HTTP."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from replicator.api.access import Access
from replicator.api.answers import refused
from replicator.config.models import MigrationConfig
from replicator.model import DeadLetter, Retried

MOST_LETTERS = 1000
"""Dead letters in one answer, or taken up again by one request."""


class KeepsLetters(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig

    async def dead_letters(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]: ...

    async def retry(self, pipeline: str, keys: Sequence[str]) -> Retried: ...

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None: ...


class Letters(BaseModel):
    """One page of dead letters. `next` is what `after` must be for the page behind it, null on the last one."""

    dead_letters: list[DeadLetter]
    next: str | None


class Retry(BaseModel):
    """Which dead letters to take up again."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(max_length=63)
    keys: list[str] = Field(min_length=1, max_length=MOST_LETTERS, description="As listed.")


def router(daemon: KeepsLetters, access: Access) -> APIRouter:
    """The routes below /v1/dead-letters."""
    routes = APIRouter(prefix="/v1/dead-letters")

    def require(pipeline: str | None) -> None:
        if pipeline is not None and pipeline not in daemon.config.pipelines:
            raise HTTPException(404, f"there is no pipeline {pipeline}")

    @routes.get("", summary="Changes that could not be applied, oldest first")
    async def listing(
        pipeline: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LETTERS)] = MOST_LETTERS,
        after: str | None = None,
    ) -> Letters:
        require(pipeline)
        try:
            page = await daemon.dead_letters(pipeline, limit, after)
        except ValueError as error:
            raise HTTPException(422, f"after: {error}") from error
        return Letters(dead_letters=page, next=page[-1].place if len(page) == limit else None)

    @routes.post("/retry", summary="Take dead letters up again, from the source as it is now")
    async def retry(request: Retry, actor: Annotated[str, Depends(access)]) -> Retried:
        require(request.pipeline)
        with refused():
            await daemon.record(actor, "retry dead letters", request.pipeline, f"{len(request.keys)} keys")
            return await daemon.retry(request.pipeline, request.keys)

    return routes

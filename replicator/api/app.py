"""The HTTP interface of a daemon: health, metrics, status, dead letters."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from fastapi import FastAPI, HTTPException, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from replicator.config.models import MigrationConfig
from replicator.errors import ConfigurationError, LeaseLostError
from replicator.model import DeadLetter, Retried
from replicator.status import MigrationStatus, PipelineStatus

MOST_LETTERS = 1000
"""Dead letters in one answer, or taken up again by one request."""


class Running(Protocol):
    """What the interface needs of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig
    statuses: dict[str, PipelineStatus]

    async def dead_letters(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]: ...

    async def retry(self, pipeline: str, keys: Sequence[str]) -> Retried: ...


class Readiness(BaseModel):
    """Whether nothing needs attention, or else what does, by pipeline."""

    ready: bool
    problems: dict[str, list[str]]


class Letters(BaseModel):
    """One page of dead letters. `next` is what `after` must be for the page behind it, null on the last one."""

    dead_letters: list[DeadLetter]
    next: str | None


class Retry(BaseModel):
    """Which dead letters to take up again."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(max_length=63)
    keys: list[str] = Field(min_length=1, max_length=MOST_LETTERS, description="As listed.")


def create_app(daemon: Running, registry: CollectorRegistry) -> FastAPI:
    """The application; nothing in it blocks or changes the daemon but `retry`."""
    app = FastAPI(title="replicator", docs_url=None, redoc_url=None)

    @app.get("/healthz", summary="200 while the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="200 while nothing needs attention, 503 with the reasons otherwise")
    async def readyz(response: Response) -> Readiness:
        problems = {name: status.problems for name, status in daemon.statuses.items() if status.problems}
        if not daemon.statuses:
            problems = {daemon.config.migration: ["starting"]}
        response.status_code = 503 if problems else 200
        return Readiness(ready=not problems, problems=problems)

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/status", summary="Every pipeline as it is now")
    async def status() -> MigrationStatus:
        return MigrationStatus(migration=daemon.config.migration, pipelines=daemon.statuses)

    _add_dead_letters(app, daemon)
    return app


def _add_dead_letters(app: FastAPI, daemon: Running) -> None:
    def require(pipeline: str | None) -> None:
        if pipeline is not None and pipeline not in daemon.config.pipelines:
            raise HTTPException(404, f"there is no pipeline {pipeline}")

    @app.get("/v1/dead-letters", summary="Changes that could not be applied, oldest first")
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

    @app.post("/v1/dead-letters/retry", summary="Take dead letters up again, from the source as it is now")
    async def retry(request: Retry) -> Retried:
        require(request.pipeline)
        try:
            return await daemon.retry(request.pipeline, request.keys)
        except (ConfigurationError, LeaseLostError) as error:
            raise HTTPException(409, str(error)) from error

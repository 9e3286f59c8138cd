"""The HTTP interface of a daemon: health, metrics, status, dead letters."""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, HTTPException, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from replicator.engine.status import PipelineStatus
from replicator.errors import ConfigurationError
from replicator.model import DeadLetter


class Running(Protocol):
    """What the interface needs of a daemon."""

    statuses: dict[str, PipelineStatus]

    async def dead_letters(self, limit: int = 1000) -> list[DeadLetter]: ...

    async def retry(self, pipeline: str, keys: Sequence[str]) -> int: ...


class Retry(BaseModel):
    """Which dead letters to take up again."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(max_length=63)
    keys: list[str] = Field(min_length=1, max_length=1000, description="As listed.")


class Retried(BaseModel):
    """How many of them are resolved now."""

    resolved: int
    open: int


def create_app(daemon: Running, registry: CollectorRegistry, migration: str) -> FastAPI:
    """The application; nothing in it blocks or changes the daemon but `retry`."""
    app = FastAPI(title="replicator", docs_url=None, redoc_url=None)

    @app.get("/healthz", summary="200 while the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="200 while nothing needs attention, 503 with the reasons otherwise")
    async def readyz(response: Response) -> dict[str, Any]:
        problems = {name: status.problems for name, status in daemon.statuses.items() if status.problems}
        if not daemon.statuses:
            problems = {migration: ["starting"]}
        response.status_code = 503 if problems else 200
        return {"ready": not problems, "problems": problems}

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/status", summary="Every pipeline as it is now")
    async def status() -> dict[str, Any]:
        pipelines = {name: status.as_json() for name, status in daemon.statuses.items()}
        return {"migration": migration, "pipelines": pipelines}

    _add_dead_letters(app, daemon)
    return app


def _add_dead_letters(app: FastAPI, daemon: Running) -> None:
    @app.get("/v1/dead-letters", summary="Changes that could not be applied, oldest first")
    async def listing(limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> list[DeadLetter]:
        return await daemon.dead_letters(limit)

    @app.post("/v1/dead-letters/retry", summary="Take dead letters up again, from the source as it is now")
    async def retry(request: Retry) -> Retried:
        try:
            resolved = await daemon.retry(request.pipeline, request.keys)
        except KeyError:
            raise HTTPException(404, f"there is no pipeline {request.pipeline}") from None
        except ConfigurationError as error:
            raise HTTPException(409, str(error)) from error
        return Retried(resolved=resolved, open=len(request.keys) - resolved)

"""The HTTP interface of a daemon. What belongs to one topic is a router in a module of its own."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

from replicator.api import (
    audit,
    barriers,
    beforehand,
    control,
    cutover,
    dead_letters,
    draining,
    page,
    replicas,
    report,
    switching,
    triggers,
    verification,
)
from replicator.api.access import Access
from replicator.api.bounds import Bounds
from replicator.api.published import publish
from replicator.config.models import MigrationConfig
from replicator.cutover import Cutover
from replicator.cutover.phases import least_phase
from replicator.engine.daemon import Daemon
from replicator.status import MigrationStatus, PipelineStatus, ReplicaStatus


class Running(Protocol):
    """What the interface needs of every daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig
    statuses: dict[str, PipelineStatus]

    def cutover(self) -> Cutover: ...


class Readiness(BaseModel):
    """Whether nothing needs attention, or else what does, by pipeline."""

    ready: bool
    problems: dict[str, list[str]]


def interface(daemon: Daemon) -> FastAPI:
    """All there is."""
    access = Access(daemon.config.http.token)
    routers = [
        dead_letters.router(daemon, access),
        control.router(daemon, access),
        verification.router(daemon, access),
        audit.router(daemon, access),
        cutover.router(daemon),
        draining.router(daemon, access),
        barriers.router(daemon, access),
        report.router(daemon, access),
        page.router(daemon, access),
        beforehand.router(daemon, access),
        switching.router(daemon, access),
        triggers.router(daemon, access),
    ]
    app = create_app(daemon, daemon.metrics.registry, *routers, together=daemon.replicas)
    app.add_middleware(replicas.Forwarding, daemon=daemon)
    daemon.answer_with(partial(replicas.answer, app))
    return app


def create_app(
    daemon: Running,
    registry: CollectorRegistry,
    *routers: APIRouter,
    together: Callable[[], list[ReplicaStatus]] = list,
) -> FastAPI:
    """The application: health, metrics, status and these. Nothing of its own blocks or changes the daemon. `together`
    tells which replicas work together.
    """
    app = FastAPI(title="replicator", docs_url=None, redoc_url=None)
    app.add_middleware(Bounds)
    publish(app)

    @app.get("/healthz", summary="200 while the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/readyz",
        summary="200 while nothing needs attention, 503 with the reasons otherwise",
        responses={503: {"model": Readiness, "description": "Something needs attention."}},
    )
    async def readyz(response: Response) -> Readiness:
        problems = {name: status.problems for name, status in daemon.statuses.items() if status.problems}
        if not daemon.statuses:
            problems = {daemon.config.migration: ["starting"]}
        response.status_code = 503 if problems else 200
        return Readiness(ready=not problems, problems=problems)

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        daemon.cutover()  # its gauges must not be older than the answer
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/status", summary="Every pipeline as it is now")
    async def status() -> MigrationStatus:
        phase = least_phase(status.phase for status in daemon.statuses.values())
        migration = daemon.config.migration
        return MigrationStatus(migration=migration, phase=phase, pipelines=daemon.statuses, replicas=together())

    for router in routers:
        app.include_router(router)
    return app

"""Readiness over HTTP."""

from typing import Protocol

from fastapi import APIRouter

from replicator.cutover import Cutover


class Judges(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    def cutover(self) -> Cutover: ...


def router(daemon: Judges) -> APIRouter:
    """The route /v1/cutover. It changes nothing, so anybody may ask."""
    routes = APIRouter()

    @routes.get("/v1/cutover", summary="Whether traffic may be moved now, check by check")
    async def cutover() -> Cutover:
        return daemon.cutover()

    return routes

"""The report over HTTP."""

from typing import Protocol

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from replicator.api.access import Access
from replicator.api.answers import refusals, refused
from replicator.report import Evidence, Report
from replicator.report.page import page

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What the page may do: nothing but look as its own style says."""


class Reports(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    async def report(self) -> Report: ...

    def evidence(self) -> Evidence: ...


def router(daemon: Reports, access: Access) -> APIRouter:
    """The routes of the report. It tells what operators did, so it is for those who may."""
    routes = APIRouter(dependencies=[Depends(access)])

    @routes.get("/v1/report", summary="What was done, by whom, and what proves it")
    async def report() -> Report:
        return await daemon.report()

    @routes.get(
        "/v1/report/evidence", summary="The report as it was when the migration was sealed", responses=refusals(409)
    )
    async def evidence() -> Evidence:
        with refused():
            return daemon.evidence()

    @routes.get("/v1/report.html", summary="The report as a page for people", response_class=HTMLResponse)
    async def report_page() -> HTMLResponse:
        return HTMLResponse(page(await daemon.report()), headers={"Content-Security-Policy": POLICY})

    return routes

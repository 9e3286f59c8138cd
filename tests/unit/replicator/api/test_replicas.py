"""Promises of a replica that does not lead: it answers as the one that leads would, and for itself where it must."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import APIRouter, Depends, FastAPI, Request
from prometheus_client import CollectorRegistry

from fakes.served import LetterDaemon
from replicator.api.access import Access
from replicator.api.app import create_app
from replicator.api.bounds import MOST_BODY_BYTES
from replicator.api.replicas import Forwarding, answer
from replicator.config.models import MigrationConfig
from replicator.replicas.channel import Params
from replicator.telemetry import Metrics

ACCESS = Access(None)


def leading() -> FastAPI:
    """The interface of the one that leads, with a route that changes something."""
    routes = APIRouter()

    @routes.post("/v1/echo")
    async def echo(request: Request, actor: str = Depends(Access(None))) -> dict[str, object]:
        return {"actor": actor, "query": request.url.query, "body": await request.json(), "path": request.url.path}

    @routes.get("/v1/fails")
    async def fails() -> None:
        raise ZeroDivisionError

    return create_app(LetterDaemon(None), CollectorRegistry(), routes)  # type: ignore[arg-type] # no store is asked


class Standing:
    """A replica that works for it; `leader` None while nobody leads."""

    def __init__(self) -> None:
        self.config: MigrationConfig = LetterDaemon(None).config  # type: ignore[arg-type] # likewise
        self.metrics = Metrics()
        self.leads = False
        self.is_working = True
        self.leader: FastAPI | None = leading()

    async def ask_leader(self, request: Params) -> Params | None:
        return None if self.leader is None else await answer(self.leader, request)


@asynccontextmanager
async def asked(daemon: Standing, client: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks it, from this address."""
    app = Forwarding(FastAPI(), daemon)
    transport = httpx.ASGITransport(app, client=(client, 123))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http:
        yield http


async def test_a_request_is_answered_as_the_leader_would() -> None:
    async with asked(Standing()) as http:
        given = await http.post("/v1/echo?deep=1&x=%20", json={"key": "ä"}, headers={"X-Actor": "kim"})
        assert given.status_code == 200
        assert given.json()["body"] == {"key": "ä"}
        assert given.json()["query"] == "deep=1&x=%20"
        assert "127.0.0.1" in given.json()["actor"]
        assert (await http.get("/v1/nothing")).status_code == 404
        assert (await http.get("/v1/status")).json()["migration"] == "shop"


async def test_who_asks_from_another_machine_may_no_more_than_at_the_leader() -> None:
    async with asked(Standing(), client="10.0.0.7") as http:
        assert (await http.post("/v1/echo", json={})).status_code == 403
        assert (await http.get("/v1/status")).status_code == 200


async def test_a_body_that_is_too_large_is_refused_before_it_is_passed_on() -> None:
    daemon = Standing()
    daemon.leader = None
    async with asked(daemon) as http:
        given = await http.post("/v1/echo", content=b"x" * (MOST_BODY_BYTES + 1))
        assert given.status_code == 413


async def test_while_nobody_leads_it_says_so() -> None:
    daemon = Standing()
    daemon.leader, daemon.is_working = None, False
    async with asked(daemon) as http:
        given = await http.get("/v1/status")
        assert given.status_code == 503
        assert "no replica leads" in given.json()["detail"]
        assert (await http.get("/readyz")).status_code == 503


async def test_it_is_ready_while_it_works_and_shows_metrics_of_its_own() -> None:
    async with asked(Standing()) as http:
        assert (await http.get("/readyz")).json() == {"ready": True, "problems": {}}
        told = (await http.get("/metrics")).text
        assert "replicator_cutover_ready NaN" in told
        assert "replicator_replicas NaN" in told


async def test_streams_are_not_passed_on() -> None:
    """The page then asks again and again."""
    async with asked(Standing()) as http:
        assert (await http.get("/v1/page", headers={"Accept": "text/event-stream"})).status_code == 503


async def test_a_bug_of_the_leaders_interface_ends_nothing() -> None:
    async with asked(Standing()) as http:
        assert (await http.get("/v1/fails")).status_code == 500


async def test_the_leader_answers_itself() -> None:
    daemon = Standing()
    daemon.leads = True
    async with asked(daemon) as http:
        assert (await http.get("/v1/status")).status_code == 404, "the application around which it is has no such route"

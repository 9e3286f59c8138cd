"""Promises of waiting over HTTP: only 200 says that something is at the target, and everything else says why not."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from pydantic import SecretStr

from fakes.daemons import Place
from replicator.api import barriers
from replicator.api.access import Access
from replicator.api.app import create_app, interface
from replicator.engine.barrier import SETTLED, Answer, Verdict
from replicator.engine.daemon import Daemon

PATH = "/v1/pipelines/orders/barrier"


class Answering:
    """A daemon that answers so."""

    def __init__(self, daemon: Daemon, answer: Answer) -> None:
        self.config = daemon.config
        self.pipelines = daemon.pipelines
        self.answer = answer
        self.asked: list[tuple[str, list[str], float]] = []

    async def wait(self, pipeline: str, keys: Sequence[str], timeout_s: float) -> Answer:
        self.asked.append((pipeline, list(keys), timeout_s))
        return self.answer


@asynccontextmanager
async def client_of(answering: Answering, daemon: Daemon, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    routes = barriers.router(answering, Access(SecretStr(token) if token else None))
    app = create_app(daemon, daemon.metrics.registry, routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        yield client


def daemon_and(answer: Answer = SETTLED) -> tuple[Daemon, Answering]:
    daemon = Place("orders").daemon()
    return daemon, Answering(daemon, answer)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.SETTLED, 200),
        (Verdict.LATE, 504),
        (Verdict.REFUSED, 409),
        (Verdict.INVALID, 422),
        (Verdict.UNAVAILABLE, 503),
        (Verdict.CROWDED, 429),
    ],
)
async def test_each_end_of_a_wait_has_its_code(verdict: Verdict, code: int) -> None:
    daemon, answering = daemon_and(Answer(verdict, "" if verdict is Verdict.SETTLED else "why"))
    async with client_of(answering, daemon) as client:
        answer = await client.post(PATH, json={"key": "k", "timeout_s": 3})
    assert answer.status_code == code
    assert answer.json().get("settled", False) is (code == 200)
    assert code == 200 or answer.json() == {"detail": "why"}
    assert answering.asked == [("orders", ["k"], 3.0)]


@pytest.mark.parametrize(("body", "keys"), [({}, []), ({"keys": ["a", "b"]}, ["a", "b"]), ({"key": "a"}, ["a"])])
async def test_what_is_asked_for(body: dict[str, object], keys: list[str]) -> None:
    daemon, answering = daemon_and()
    async with client_of(answering, daemon) as client:
        assert (await client.post(PATH, json=body)).status_code == 200
    assert answering.asked == [("orders", keys, 10.0)]


@pytest.mark.parametrize(
    "body",
    [
        {"key": ""},
        {"key": "a", "keys": ["b"]},
        {"keys": []},
        {"keys": ["a"] * 101},
        {"keys": [""]},
        {"key": "a" * 32_769},
        {"timeout_s": 0},
        {"timeout_s": 301},
        {"timeout_s": "inf"},
        {"what": 1},
        [],
    ],
)
async def test_a_malformed_question_is_refused(body: object) -> None:
    daemon, answering = daemon_and()
    async with client_of(answering, daemon) as client:
        assert (await client.post(PATH, json=body)).status_code == 422
    assert answering.asked == []


async def test_only_who_may_is_answered() -> None:
    daemon, answering = daemon_and()
    async with client_of(answering, daemon, token="sixteen characters") as client:
        assert (await client.post(PATH, json={})).status_code == 401
        assert (await client.post(PATH, json={}, headers={"Authorization": "Bearer wrong"})).status_code == 401
        right = {"Authorization": "Bearer sixteen characters"}
        assert (await client.post(PATH.replace("orders", "nope"), json={}, headers=right)).status_code == 404
        assert answering.asked == []
        assert (await client.post(PATH, json={}, headers=right)).status_code == 200


async def test_a_daemon_that_has_not_begun_answers_nothing() -> None:
    daemon = Place("orders").daemon()
    transport = httpx.ASGITransport(interface(daemon))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/v1/pipelines")).status_code == 503
        assert (await client.post(PATH, json={})).status_code == 503


async def test_a_client_learns_what_it_must_know_of_the_pipelines() -> None:
    place = Place("orders")
    async with place.store, anyio.create_task_group() as tasks:
        daemon = place.daemon()
        tasks.start_soon(daemon.run)
        await daemon.started.wait()
        transport = httpx.ASGITransport(interface(daemon))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            (known,) = (await client.get("/v1/pipelines")).json()["pipelines"]
            refused = await client.post(PATH, json={"key": "no key"})
        assert known == {
            "name": "orders", "mode": "async", "type": "scripted", "source": [], "key_names": ["id"], "barriers": "all"
        }  # fmt: skip
        assert refused.status_code in {409, 422, 503}
        daemon.stop()
        daemon.stop()

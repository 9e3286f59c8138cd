"""Promise: expiry is judged by the clock of the service that deletes what has expired, not by the daemon's."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.azure.cosmos.target import CosmosTarget, open_target
from fakes.records import key_of, upsert
from fakes.targets import cosmos_config, target_context
from replicator.documents import Document
from replicator.model import Change, Rule
from sandbox.clock import Clock
from sandbox.cosmos import CosmosServer

A = key_of("a")
HOUR = timedelta(hours=1)

pytestmark = [
    pytest.mark.parametrize("wrong_by_s", [-86_400, 86_400], ids=["daemon ahead", "daemon behind"]),
    pytest.mark.embedded("cosmos", "a clock that can be set"),
]
"""`wrong_by_s`: how far the service's clock is ahead of ours."""


@asynccontextmanager
async def opened(wrong_by_s: float) -> AsyncIterator[tuple[CosmosServer, CosmosTarget]]:
    async with (
        CosmosServer(clock=Clock(base=lambda: time.time() + wrong_by_s)) as server,
        open_target(cosmos_config(server.endpoint), target_context()) as target,
    ):
        await target.connect(("id",))
        await target.create()
        yield server, target


def expiring(server: CosmosServer, after: timedelta) -> Change[Document]:
    """A record that expires so long after the true time, which is the service's."""
    instant = datetime.fromtimestamp(server.clock.now(), UTC) + after
    return replace(upsert("a", 1), expires_at=instant.replace(microsecond=0))


def documents(server: CosmosServer) -> list[dict[str, Any]]:
    return [json.loads(item.body) for item in server.account.container("shop", "orders").items()]


def assert_expires_on_time(server: CosmosServer, change: Change[Document]) -> None:
    (document,) = documents(server)
    assert change.expires_at is not None
    assert document["_ts"] + document["ttl"] - change.expires_at.timestamp() in {0, 1}


async def test_what_has_expired_is_not_brought_back(wrong_by_s: float) -> None:
    async with opened(wrong_by_s) as (server, target):
        await target.apply([upsert("a", 0)], Rule.FOLLOW)
        assert await target.apply([expiring(server, -HOUR)], Rule.FOLLOW) == []
        assert documents(server) == []
        assert await target.apply([expiring(server, -HOUR)], Rule.COPY) == []
        assert documents(server) == []
        assert target.fingerprint(expiring(server, -HOUR)) is None


async def test_what_has_not_expired_is_there_until_it_does(wrong_by_s: float) -> None:
    async with opened(wrong_by_s) as (server, target):
        change = expiring(server, HOUR)
        assert await target.apply([change], Rule.FOLLOW) == []
        assert_expires_on_time(server, change)
        assert target.fingerprint(change) is not None


async def test_a_guarded_write_knows_the_time_too(wrong_by_s: float) -> None:
    async with opened(wrong_by_s) as (server, target):
        change = expiring(server, HOUR)
        await target.replace({A: change}, await target.observe([A]), Rule.FOLLOW)
        assert_expires_on_time(server, change)
        gone = expiring(server, -HOUR)
        await target.replace({A: gone}, await target.observe([A]), Rule.FOLLOW)
        assert documents(server) == []


async def test_an_expiry_that_was_held_off_is_set_by_the_service_s_clock(wrong_by_s: float) -> None:
    async with opened(wrong_by_s) as (server, target):
        change = expiring(server, HOUR)
        await target.apply([change], Rule.OVERLAP)
        assert "ttl" not in documents(server)[0]
        server.clock.advance(600)
        await target.sweep(lambda _: None)
        assert_expires_on_time(server, change)
        await target.apply([expiring(server, HOUR)], Rule.OVERLAP)
        server.clock.advance(7200)
        await target.sweep(lambda _: None)
        assert documents(server) == []

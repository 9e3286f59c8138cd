"""Gives every clause the worlds that can do what it needs. A clause that none can do fails instead of being skipped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from contracts.worlds import EMULATED_TARGETS, SOURCES, TARGETS
from contracts.worlds.sides import Kind, SourceWorld, TargetWorld, cannot, cannot_now

from containers.choice import CHOSEN
from replicator.ports import Source, Target
from sandbox.aws import AwsServer
from sandbox.azurite import Azurite

if TYPE_CHECKING:
    from containers.cosmos import CosmosContainer
    from containers.servicebus import ServiceBusContainer

T = TypeVar("T")

SIDES = {"sources": SOURCES, "targets": TARGETS}
EMULATED = {"targets": EMULATED_TARGETS}


def pytest_configure(config: pytest.Config) -> None:
    for side in SIDES:
        config.addinivalue_line(
            "markers", f"{side}(*abilities): run against all {side} that can do these, and all else"
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for side, kinds in SIDES.items():
        marks = list(metafunc.definition.iter_markers(side))
        if marks:
            needs = {ability for mark in marks for ability in mark.args}
            chosen = metafunc.config.stash[CHOSEN]
            emulated = {name: kind for name, kind in EMULATED.get(side, {}).items() if kind.cloud in chosen}
            able = [pytest.param(kind, id=name) for name, kind in (kinds | emulated).items() if needs <= kind.can]
            assert able, f"no world can do {needs}, so {metafunc.definition.name} shows nothing"
            metafunc.parametrize("world", able, indirect=True)


class _Clouds:
    """See `LocalClouds`."""

    def __init__(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        self._request = request
        self._monkeypatch = monkeypatch

    def aws(self) -> AwsServer:
        server: AwsServer = self._request.getfixturevalue("aws")
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        return server

    def aws_client(self, service: str) -> AbstractAsyncContextManager[Any]:
        client: AbstractAsyncContextManager[Any] = self._request.getfixturevalue("aws_client")(service)
        return client

    def azurite(self) -> Azurite:
        server: Azurite = self._request.getfixturevalue("azurite")
        return server

    def cosmos(self) -> "CosmosContainer":
        account: CosmosContainer = self._request.getfixturevalue("cosmos_container")
        return account

    def servicebus(self) -> "ServiceBusContainer":
        namespace: ServiceBusContainer = self._request.getfixturevalue("servicebus_container")
        return namespace


@asynccontextmanager
async def in_one_task(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """A fixture is begun and ended in two tasks; what has tasks of its own must be entered and left in the same one."""
    entered, left = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def keep() -> None:
        async with context as made:
            entered.set_result(made)
            await left.wait()

    keeping = asyncio.create_task(keep())
    await asyncio.wait({keeping, entered}, return_when=asyncio.FIRST_COMPLETED)
    if not entered.done():
        keeping.result()
    yield entered.result()
    left.set()
    await keeping


@pytest.fixture
async def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    kind: Kind = request.param
    made: Any
    async with in_one_task(kind.factory(_Clouds(request, monkeypatch))) as made:
        made.can = kind.can
        for ability, means in kind.needs_means.items():
            has = getattr(made, means) not in {cannot, cannot_now}
            assert has == (ability in kind.can), f"{means} says otherwise than {ability}"
        yield made


@pytest.fixture
async def source(world: SourceWorld[Any]) -> AsyncIterator[Source[Any]]:
    """Of that world, connected. A test that needs several opens them itself."""
    async with in_one_task(world.connected()) as connected:
        yield connected


@pytest.fixture
async def target(world: TargetWorld[Any]) -> Target[Any]:
    """Of that world, connected and created."""
    await world.target.connect(world.key_names)
    await world.target.create()
    return world.target

"""What every kind of test may share: the local AWS and Azurite, started once per session, and clients of them.

They are embedded, or come from container images (`containers.plugin`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from anyio.from_thread import start_blocking_portal
from hypothesis import settings

from containers.choice import is_chosen
from containers.clouds import Cloud
from sandbox.aws import AwsServer
from sandbox.aws_http import OneAttempt
from sandbox.azurite import Azurite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from containers.cosmos import CosmosContainer
    from containers.servicebus import ServiceBusContainer

TESTS = Path(__file__).parent

pytest_plugins = ["containers.plugin"]

settings.register_profile("any machine", deadline=None)  # how long an example takes is no promise of ours
settings.load_profile("any machine")


LONGEST_FIRST = ("scenarios", "contracts", "integration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no worker ends the suite alone; thousands of short ones fill the end."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command under test sets logging up for its process, with the standard error that this one test captures."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def aws(request: pytest.FixtureRequest) -> Iterator[AwsServer]:
    """One ministack for the whole session: name what you create uniquely, or await reset() first."""
    with _aws(request) as server:
        yield server


def _aws(request: pytest.FixtureRequest) -> AwsServer:
    if not is_chosen(request, Cloud.AWS):
        return AwsServer()
    from containers.aws import AwsContainer  # noqa: PLC0415 -- the ordinary suite does without

    return AwsContainer()


@pytest.fixture(scope="session")
def aws_session() -> AioSession:
    """Shared, since it caches the services' descriptions: without them a client takes half a second."""
    return AioSession()


@pytest.fixture
def aws_client(aws: AwsServer, aws_session: AioSession) -> Callable[..., AbstractAsyncContextManager[Any]]:
    """`async with aws_client("dynamodb", endpoint=…) as client`: no retries of its own, short timeouts."""

    def create(service: str, endpoint: str | None = None, **config: Any) -> AbstractAsyncContextManager[Any]:
        attempts = {"http_session_cls": OneAttempt, "retries": {"total_max_attempts": 1}}
        options = {**attempts, "connect_timeout": 5, "read_timeout": 10, **config}
        client: AbstractAsyncContextManager[Any] = aws_session.create_client(
            service,
            endpoint_url=endpoint or aws.endpoint,
            region_name=aws.region,
            aws_access_key_id=aws.access_key,
            aws_secret_access_key=aws.secret_key,
            config=AioConfig(**options),
        )
        return client

    return create


@pytest.fixture(scope="session")
def azurite(request: pytest.FixtureRequest) -> Iterator[Azurite]:
    """One blob service in memory for the whole session: name containers uniquely."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_azurite(request)) as server:
        yield server


def _azurite(request: pytest.FixtureRequest) -> Azurite:
    if not is_chosen(request, Cloud.AZURITE):
        return Azurite()
    from containers.azurite import AzuriteContainer  # noqa: PLC0415 -- the ordinary suite does without

    return AzuriteContainer()


@pytest.fixture(scope="session")
def cosmos_container() -> Iterator[CosmosContainer]:
    """Microsoft's emulator, only where it was asked for; one for the session: delete what is there."""
    from containers.cosmos import CosmosContainer  # noqa: PLC0415 -- the ordinary suite does without

    with CosmosContainer() as account:
        yield account


@pytest.fixture(scope="session")
def servicebus_container() -> Iterator[ServiceBusContainer]:
    """Likewise, with the queues that tests of the broker have."""
    from containers.servicebus import ServiceBusContainer  # noqa: PLC0415 -- the ordinary suite does without
    from fakes.servicebus import QUEUES  # noqa: PLC0415 -- likewise

    with ServiceBusContainer(QUEUES) as namespace:
        yield namespace

"""Clients of all services that are asked, opened together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from connectors.aws.clients import open_client
from connectors.aws.config import AwsAccess
from connectors.aws.discovery.asking import Asking
from connectors.aws.s3.sdk import CLIENT_SETTINGS

SERVICES = ("lambda", "iam", "events", "scheduler", "s3", "dynamodb", "sqs")


@dataclass(frozen=True, slots=True)
class Services:
    """botocore builds clients at run time, so they have no static type."""

    asking: Asking
    functions: Any
    iam: Any
    events: Any
    scheduler: Any
    s3: Any
    dynamodb: Any
    sqs: Any


@asynccontextmanager
async def open_services(access: AwsAccess) -> AsyncIterator[Services]:
    """Closed on leaving. Raises ConfigurationError where one cannot be set up."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                open_client(name, access, "aws", settings=CLIENT_SETTINGS if name == "s3" else None)
            )
            for name in SERVICES
        ]
        yield Services(Asking(), *clients)

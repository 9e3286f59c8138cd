"""Clients of AWS services: credentials by the ordinary chain, retries left to us, every call bounded in time."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import exceptions
from botocore.loaders import Loader, create_loader

from connectors.aws.config import AwsAccess
from connectors.aws.damage import refuse_damaged
from connectors.aws.errors import configuration_error
from replicator.errors import ConfigurationError
from replicator.tls import trusted_authorities

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20
MOST_CONNECTIONS = 50

REGION_FIX = "Set it here, or AWS_DEFAULT_REGION, to a name like eu-central-1"
PROFILE_FIX = "Name one of ~/.aws/config, or none"


@asynccontextmanager
async def open_client(
    service: str,
    config: AwsAccess,
    where: str,
    endpoint: str | None = None,
    *,
    read_timeout_s: float = READ_TIMEOUT_S,
    settings: Mapping[str, object] | None = None,
) -> AsyncIterator[Any]:
    """A low-level client, closed on leaving. Raises ConfigurationError where it cannot even be set up.

    `read_timeout_s` is how long a connection may be silent; `settings` are botocore's own, of this service alone.
    botocore builds clients from data files at run time, so they have no static type.
    """
    bundle = config.ca_bundle or os.environ.get("AWS_CA_BUNDLE")
    if bundle:
        trusted_authorities(Path(bundle), where)  # botocore would read it with the first call, and stumble there
    async with AsyncExitStack() as stack:
        try:
            special = {"read_timeout": read_timeout_s, **(settings or {})}
            client = await stack.enter_async_context(_create(service, config, endpoint or config.endpoint, special))
        except exceptions.InvalidRegionError as error:
            raise ConfigurationError(f"{where}.region", "is no region", REGION_FIX) from error
        except exceptions.ProfileNotFound as error:
            raise ConfigurationError(f"{where}.profile", str(error), PROFILE_FIX) from error
        except (exceptions.BotoCoreError, ValueError) as error:
            raise configuration_error(where, error) from error
        client.meta.events.register("before-parse", refuse_damaged)
        yield client


def _create(service: str, config: AwsAccess, endpoint: str | None, settings: Mapping[str, object]) -> Any:
    return _session(config.profile).create_client(
        service,
        region_name=config.region,
        endpoint_url=endpoint,
        verify=str(config.ca_bundle) if config.ca_bundle else None,
        config=AioConfig(
            **{
                "connect_timeout": CONNECT_TIMEOUT_S,
                "max_pool_connections": MOST_CONNECTIONS,
                "retries": {"total_max_attempts": 1, "mode": "standard"},
                "proxies": {"http": config.proxy, "https": config.proxy} if config.proxy else None,
                "account_id_endpoint_mode": "disabled",  # what is called is what `check` shows, and firewalls let out
                "user_agent_extra": "replicator",
                **settings,
            }
        ),
    )


def _session(profile: str | None) -> AioSession:
    """One of its own for each client: a session keeps credentials, which belong to a profile and to an event loop.

    What it reads from botocore's data files is shared, since parsing them is most of what a client costs.
    """
    session = AioSession(profile=profile)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(data_path: str | None) -> Loader:
    """Keeps what it has parsed, for as long as the process lives. `data_path` may name files of the operator's own."""
    return create_loader(data_path)

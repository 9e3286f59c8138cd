"""The probe: one request as a client of the application sends it, whose answer says whether writing works."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import structlog

from replicator.config.models import ProbeConfig
from replicator.tls import trusted_authorities

WHERE = "cutover.probe"


class HttpProbe:
    """See `replicator.cutover.pause.Probe`."""

    def __init__(self, config: ProbeConfig, session: aiohttp.ClientSession) -> None:
        self.interval_s = config.interval_s
        self.said = ""
        self._config = config
        self._session = session

    async def works(self) -> bool:
        config = self._config
        headers = {"Content-Type": "application/json"} if config.body else {}
        if config.token is not None:
            headers["Authorization"] = f"Bearer {config.token.get_secret_value()}"
        try:
            async with self._session.request(
                config.method,
                config.url,
                data=config.body.encode() or None,
                headers=headers,
                proxy=config.proxy,
                allow_redirects=False,
            ) as answer:
                self.said = f"answered with {answer.status}"
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self.said = f"gives no answer ({type(error).__name__})"
            structlog.get_logger().debug("the probe was not answered", error=type(error).__name__)
            return False


@asynccontextmanager
async def open_probe(config: ProbeConfig | None) -> AsyncIterator[HttpProbe | None]:
    """None where none is configured. Raises ConfigurationError for a `ca_bundle` that cannot be used.

    Each request takes a connection of its own: a kept one would lead to where clients were before, whatever has become
    of the name.
    """
    if config is None:
        yield None
        return
    connector = aiohttp.TCPConnector(
        ssl=trusted_authorities(config.ca_bundle, WHERE), force_close=True, use_dns_cache=False
    )
    timeout = aiohttp.ClientTimeout(total=config.timeout_s)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield HttpProbe(config, session)

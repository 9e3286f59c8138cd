"""HTTP sessions of AWS clients that send a request once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobotocore.httpsession import AIOHTTPSession

if TYPE_CHECKING:
    import aiohttp


class OneAttempt(AIOHTTPSession):  # type: ignore[misc] # aiobotocore has no types
    """Without aiohttp's silent second attempt: `AioConfig(http_session_cls=OneAttempt)`.

    aiohttp repeats a PUT or DELETE whose kept-alive connection was lost. The first one may still take effect later,
    and a workload that was told of one success would be wrong about what the service holds.
    """

    async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = await super()._get_session(proxy_url)
        session._retry_connection = False  # noqa: SLF001 -- there is no public way
        return session

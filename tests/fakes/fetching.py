"""A storage account that fetches blocks from URLs, which Azurite does not; it passes all else on to Azurite.

And a source whose URLs are signed. Both on loopback, over real sockets.
"""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from azure.storage.blob.aio import BlobServiceClient
from yarl import URL

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from sandbox.azurite import Azurite

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "host"}
AUTOMATIC = ("Content-Type", "User-Agent", "Accept", "Accept-Encoding")
"""Would be in nobody's signature."""

SECRET = "Signature=sesame"
"""Part of every URL of the source; must be seen nowhere."""


@dataclass
class SignedSource:
    """`data` by ranges, for whoever knows the signature. `asked` holds the ranges."""

    data: bytes
    url: str = ""
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.Response:
        if SECRET not in request.query_string:
            return web.Response(status=403)
        first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        self.asked.append((first, last))
        return web.Response(status=206, body=self.data[first : last + 1])


@dataclass
class FetchingAccount:
    """`script` may answer a request to fetch in its own way, by how many there were before; None lets it happen."""

    azurite: Azurite
    script: Callable[[int], web.Response | None] = lambda _: None
    fetches: int = 0
    endpoint: str = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        source = request.headers.get("x-ms-copy-source")
        if source is not None:
            self.fetches += 1
            return self.script(self.fetches) or await self._fetched(request, source)
        return await self._passed_on(request)

    async def _fetched(self, request: web.Request, source: str) -> web.Response:
        ranged = {"Range": request.headers["x-ms-source-range"]}
        async with aiohttp.ClientSession() as session, session.get(URL(source, encoded=True), headers=ranged) as answer:
            body = await answer.read()
            if answer.status >= 300:
                return refusal(answer.status, "CannotVerifyCopySource")
        _, _, container, name = request.path.split("/", 3)
        block_id = base64.b64decode(request.query["blockid"]).decode()
        async with BlobServiceClient.from_connection_string(self.azurite.connection_string) as service:
            await service.get_blob_client(container, name).stage_block(block_id, body)
        return web.Response(status=201, headers={"x-ms-request-id": "r"})

    async def _passed_on(self, request: web.Request) -> web.StreamResponse:
        target = URL(f"http://127.0.0.1:{self.azurite.port}{request.raw_path}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with (
            aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=AUTOMATIC) as session,
            session.request(request.method, target, headers=headers, data=await request.read() or None) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            if request.method == "HEAD":
                return web.Response(
                    status=answer.status, headers={**kept, "Content-Length": answer.headers.get("Content-Length", "0")}
                )
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


def refusal(status: int, code: str, text: str = "") -> web.Response:
    """An answer of the service, in XML."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>It is refused.\n{text}</Message></Error>"
    headers = {"x-ms-request-id": "r", "x-ms-error-code": code, "Content-Type": "application/xml"}
    return web.Response(status=status, headers=headers, text=body)


@asynccontextmanager
async def fetching(azurite: Azurite, data: bytes) -> AsyncIterator[tuple[FetchingAccount, SignedSource]]:
    """Both, running."""
    account, source = FetchingAccount(azurite), SignedSource(data)
    async with _served(account.serve) as at, _served(source.serve) as source_at:
        account.endpoint = f"http://127.0.0.1:{at}/{azurite.account_name}"
        source.url = f"http://127.0.0.1:{source_at}/key?{SECRET}"
        yield account, source


@asynccontextmanager
async def behind_tls(azurite: Azurite, tls: ssl.SSLContext) -> AsyncIterator[FetchingAccount]:
    """The account alone, speaking TLS."""
    account = FetchingAccount(azurite)
    async with _served(account.serve, tls) as at:
        account.endpoint = f"https://127.0.0.1:{at}/{azurite.account_name}"
        yield account


@asynccontextmanager
async def _served(serve: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()

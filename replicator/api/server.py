"""Serves the HTTP interface inside the daemon's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import anyio
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from replicator.api.bounds import HEADER_TIMEOUT_S, MOST_CONNECTIONS, MOST_HEADER_BYTES
from replicator.api.page.streams import Line
from replicator.errors import ConfigurationError

STOP_TIMEOUT_S = 2

LOOPBACK = ["127.0.0.1", "::1"]
"""Whose word is taken for whom a request comes from, whatever uvicorn's own variable says."""


def bind(listen: str) -> socket.socket:
    """A listening socket for `host:port`. Raises ConfigurationError where there is none to be had."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, int(port)))
        bound.listen()
    except (OSError, OverflowError) as error:
        bound.close()
        raise ConfigurationError(
            "http.listen", f"cannot listen on {listen} ({error})", "Choose another address or port"
        ) from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Where a bound socket is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Leaves the process's signals alone: they are the daemon's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """Closes when the head of a request is not there in time; uvicorn itself would wait for ever. Streams are told when
    the server ends.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._line = Line(drop=transport.abort)
        self.app_state = {**self.app_state, "line": self._line}
        self._expect_head()

    def shutdown(self) -> None:
        """A stream would never end by itself."""
        self._line.ending.set()
        super().shutdown()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_head()

    def _expect_head(self) -> None:
        self.loop.call_later(HEADER_TIMEOUT_S, self._require_head, self.cycle)

    def _require_head(self, before: object) -> None:
        if self.cycle is before:
            self.transport.close()


async def serve(app: FastAPI, bound: socket.socket) -> None:
    """Serves until cancelled; requests under way are given a moment to finish."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
        http=_Connection,
        ws="none",
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        limit_concurrency=MOST_CONNECTIONS,
        forwarded_allow_ips=LOOPBACK,
        server_header=False,
    )
    server = _Server(config)
    try:
        await server.serve(sockets=[bound])
    finally:
        with anyio.move_on_after(STOP_TIMEOUT_S + 1, shield=True):
            if server.started:
                await server.shutdown(sockets=[bound])

"""Calls to a daemon over connections that are kept open: for threads, and for an event loop."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    import aiohttp

    from replicator.client.tables import Wait

PIPELINES = "/v1/pipelines"

FIRST_PAUSE_S = 0.05

LONGEST_PAUSE_S = 0.5

ANSWER_S = 0.5
"""So much later than the time that the daemon is given to wait, its answer must be there."""

LONGEST_WAIT_S = 300.0
"""The daemon is given no more at once."""

PASSING = frozenset({429, 500, 502, 503, 504})
"""Answers after which the same may be asked again: another daemon may have taken over meanwhile."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call. Without a body it is a GET."""

    path: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of it; status 0 is no answer."""

    status: int
    content: Any

    @property
    def reason(self) -> str:
        """What an answer that is none says of itself."""
        return str(self.content.get("detail", "")) if isinstance(self.content, dict) else str(self.content)


def waiting(wait: Wait, timeout_s: float) -> Request:
    """The question to a barrier."""
    body: dict[str, Any] = {"timeout_s": min(timeout_s, LONGEST_WAIT_S)}
    if wait.keys:
        body["keys"] = list(wait.keys)
    return Request(f"{PIPELINES}/{quote(wait.pipeline, safe='')}/barrier", body)


class Attempts:
    """How long and how often something is asked: until a deadline, with pauses that grow."""

    def __init__(self, timeout_s: float) -> None:
        self._ends_at = time.monotonic() + timeout_s
        self._pause_s = FIRST_PAUSE_S

    @property
    def left_s(self) -> float:
        """Until the deadline."""
        return self._ends_at - time.monotonic()

    def pause_s(self, reply: Reply) -> float | None:
        """Before the next attempt; None where that was the last one."""
        if reply.status not in {0, *PASSING} or self.left_s <= self._pause_s:
            return None
        pause_s, self._pause_s = self._pause_s, min(LONGEST_PAUSE_S, self._pause_s * 2)
        return pause_s


class Address:
    """Where the daemon is, and how it is spoken to."""

    def __init__(self, url: str, token: str | None, ca_bundle: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url} is no http address")
        self.url = url.rstrip("/")
        self.host = parts.hostname
        self.port = parts.port
        self.prefix = parts.path.rstrip("/")
        self.tls = ssl.create_default_context(cafile=ca_bundle) if parts.scheme == "https" else None
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"


class Calls:
    """For any number of threads; a connection is used by one of them at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: deque[http.client.HTTPConnection] = deque(maxlen=None)

    def call(self, request: Request, timeout_s: float) -> Reply:
        """One attempt. A connection that the daemon had closed meanwhile is no failure."""
        while True:
            kept = bool(self._idle)
            connection = self._connection()
            try:
                reply = self._exchange(connection, request, timeout_s)
            except (http.client.HTTPException, ConnectionError) as error:
                connection.close()
                if not kept:
                    return Reply(0, f"the daemon gives no answer ({error or type(error).__name__})")
            except (OSError, ValueError) as error:
                connection.close()
                return Reply(0, f"the daemon gives no answer ({error or type(error).__name__})")
            else:
                self._idle.append(connection)
                return reply

    def ask(self, request: Request, attempts: Attempts) -> Reply:
        """Until there is an answer that will not change, or no time is left."""
        while True:
            reply = self.call(request, max(0.001, attempts.left_s) + ANSWER_S)
            pause_s = attempts.pause_s(reply)
            if pause_s is None:
                return reply
            time.sleep(pause_s)

    def close(self) -> None:
        """Closes what is kept open."""
        while self._idle:
            self._idle.pop().close()

    def _connection(self) -> http.client.HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            address = self._address
            if address.tls is not None:
                return http.client.HTTPSConnection(address.host, address.port, context=address.tls)
            return http.client.HTTPConnection(address.host, address.port)

    def _exchange(self, connection: http.client.HTTPConnection, request: Request, timeout_s: float) -> Reply:
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        body = None if request.body is None else json.dumps(request.body).encode()
        method = "GET" if body is None else "POST"
        connection.request(method, self._address.prefix + request.path, body, self._address.headers)
        answer = connection.getresponse()
        return Reply(answer.status, json.loads(answer.read()))


class AsyncCalls:
    """For one event loop, with the HTTP client that aiobotocore brings along."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None

    async def call(self, request: Request, timeout_s: float) -> Reply:
        """One attempt."""
        import aiohttp  # noqa: PLC0415 — there where aiobotocore is, and only needed there

        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._address.tls or True)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._address.headers)
        method = "GET" if request.body is None else "POST"
        try:
            async with self._session.request(
                method,
                self._address.url + request.path,
                json=request.body,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as answer:
                return Reply(answer.status, await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Reply(0, f"the daemon gives no answer ({error or type(error).__name__})")

    async def ask(self, request: Request, attempts: Attempts) -> Reply:
        """Until there is an answer that will not change, or no time is left."""
        while True:
            reply = await self.call(request, max(0.001, attempts.left_s) + ANSWER_S)
            pause_s = attempts.pause_s(reply)
            if pause_s is None:
                return reply
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """Closes what is kept open."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

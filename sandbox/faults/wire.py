"""Just enough HTTP/1.1 to tell where a message ends: heads, Content-Length, chunks.

A body is kept as it is on the wire, chunk sizes included, so that what is passed on is what was received.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.faults.connection import PART_BYTES, MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from collections.abc import Set as AbstractSet

    from sandbox.faults.connection import Connection

HEAD_END = b"\r\n\r\n"
LINE_END = b"\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MAX_BUFFERED_BYTES = 16 * 1024 * 1024
BODILESS_STATUSES = frozenset({204, 304})
STALE_HEADERS = frozenset({"transfer-encoding", "content-length", "x-amz-crc32", "content-md5"})
"""True of a body only until it is changed."""


@dataclass(slots=True)
class Message:
    """A request or a response. `length` None without `chunked` means: until the connection closes.

    `body` holds the body's wire bytes once they have been buffered, None while they are still to be read.
    """

    start: str
    headers: dict[str, str]
    head: bytes
    length: int | None = 0
    chunked: bool = False
    body: bytes | None = None

    @property
    def method(self) -> str:
        return self.start.split(" ", 1)[0]

    @property
    def target(self) -> str:
        """Path and query, as sent."""
        return self.start.split(" ", 2)[1]

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may carry another message afterwards."""
        if not self.chunked and self.length is None:
            return False
        option = self.headers.get("connection", "").lower()
        return option != "close" if "HTTP/1.1" in self.start else option == "keep-alive"

    @property
    def content(self) -> bytes:
        """What a buffered body carries."""
        wire = self.body or b""
        return unchunked(wire) if self.chunked else wire

    def set_content(self, content: bytes) -> None:
        """Replaces a buffered body, and what the head says of it."""
        self.head = edited_head(self.head, drop=STALE_HEADERS, length=len(content))
        self.body = content
        self.length, self.chunked = len(content), False


async def read_request(source: Connection) -> Message | None:
    """Head of the next request, None when the client has closed between two."""
    message = await _read_head(source)
    if message is None:
        return None
    if message.start.count(" ") != 2:
        raise MalformedMessageError(f"not an HTTP request: {message.start[:80]!r}")
    _set_framing(message, default=0)
    return message


async def read_response(source: Connection, method: str) -> Message:
    """Head of the response to a request by `method`; interim 1xx responses are dropped.

    Raises ConnectionResetError if the connection ends instead.
    """
    while True:
        message = await _read_head(source)
        if message is None:
            raise ConnectionResetError("the target closed the connection without an answer")
        if not message.start.startswith("HTTP/1."):
            raise MalformedMessageError(f"not an HTTP response: {message.start[:80]!r}")
        if message.status >= 200:
            break
    if method == "HEAD" or message.status in BODILESS_STATUSES:
        message.length = 0
    else:
        _set_framing(message, default=None)
    return message


async def body_parts(source: Connection, message: Message) -> AsyncIterator[bytes]:
    """The body as on the wire, in bounded parts. Raises ConnectionResetError if it ends too early."""
    if message.body is not None:
        if message.body:
            yield message.body
    elif message.chunked:
        async for part in _chunks(source):
            yield part
    elif message.length is None:
        while part := await source.read_part():
            yield part
    else:
        async for part in _exactly(source, message.length):
            yield part


async def buffer_body(source: Connection, message: Message) -> bytes:
    """Read the whole body into `message.body`. Raises MalformedMessageError above MAX_BUFFERED_BYTES."""
    parts: list[bytes] = []
    size = 0
    async for part in body_parts(source, message):
        size += len(part)
        if size > MAX_BUFFERED_BYTES:
            raise MalformedMessageError(f"a body of more than {MAX_BUFFERED_BYTES} bytes cannot be held")
        parts.append(part)
    message.body = b"".join(parts)
    return message.body


def unchunked(wire: bytes) -> bytes:
    """Content of a chunked body; trailers are dropped."""
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = wire.index(LINE_END, at)
        size = _chunk_size(wire[at : line_end + 2])
        if size == 0:
            return b"".join(parts)
        parts.append(wire[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2


def build_head(start: str, headers: Mapping[str, str], length: int) -> bytes:
    """Wire form of a start line, headers and Content-Length."""
    lines = [start, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode("latin-1")


def edited_head(head: bytes, drop: AbstractSet[str], length: int | None = None) -> bytes:
    """The head without the headers in `drop` (lower case), with a Content-Length added if one is given."""
    start, *lines = head[: -len(HEAD_END)].split(LINE_END)
    kept = [line for line in lines if line.split(b":", 1)[0].decode("latin-1").lower() not in drop]
    if length is not None:
        kept.append(b"Content-Length: %d" % length)
    return LINE_END.join([start, *kept, b"", b""])


async def _read_head(source: Connection) -> Message | None:
    raw = await source.read_until(HEAD_END)
    if not raw:
        return None
    start, *lines = raw[:-4].decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Message(start, headers, raw)


def _set_framing(message: Message, default: int | None) -> None:
    message.chunked = "chunked" in message.headers.get("transfer-encoding", "").lower()
    declared = message.headers.get("content-length")
    if message.chunked:
        message.length = None
    elif declared is None:
        message.length = default
    elif declared.isdecimal():
        message.length = int(declared)
    else:
        raise MalformedMessageError(f"Content-Length is {declared!r}")


async def _exactly(source: Connection, count: int) -> AsyncIterator[bytes]:
    while count:
        part = await source.read_part(min(count, PART_BYTES))
        if not part:
            raise ConnectionResetError(f"{count} bytes of a body did not arrive")
        count -= len(part)
        yield part


async def _chunks(source: Connection) -> AsyncIterator[bytes]:
    while True:
        line = await _line(source)
        yield line
        size = _chunk_size(line)
        if size == 0:
            break
        async for part in _exactly(source, size + len(LINE_END)):
            yield part
    while (trailer := await _line(source)) != LINE_END:
        yield trailer
    yield LINE_END


async def _line(source: Connection) -> bytes:
    line = await source.read_until(LINE_END)
    if not line:
        raise ConnectionResetError("a chunked body did not end")
    return line


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";", 1)[0], 16)
    except ValueError as error:
        raise MalformedMessageError(f"not a chunk size: {line[:40]!r}") from error

"""One TCP connection of the proxy, to a client or to the target: bytes in order, back-pressure, a way to reset it.

An asyncio.Protocol rather than a StreamReader, because a fault needs what streams hide: to hear at once that the
other end has left, and to end with a reset instead of a clean close.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH_WATER_BYTES = 256 * 1024
PART_BYTES = 64 * 1024
LINGER_ZERO = struct.pack("ii", 1, 0)


class MalformedMessageError(ConnectionError):
    """The other end sent something the proxy cannot delimit, or more than it may hold."""


class Connection(asyncio.Protocol):
    """Reads and writes of one connection.

    `on_made` is called once it is open. `on_gone`, which its user may replace at any time, is called when the
    other end has closed or reset it. A read at the end of the data returns b""; a write to a lost connection
    raises ConnectionResetError.
    """

    def __init__(self, on_made: Callable[[Connection], None] | None = None) -> None:
        self.on_gone: Callable[[], None] | None = None
        self.ended = False  # nothing more will arrive
        self.lost = False  # nothing more can be sent
        self._on_made = on_made
        self._buffer = bytearray()
        self._reading_paused = False
        self._arrival: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def buffered(self) -> bool:
        """Whether bytes have arrived that nobody has read yet."""
        return bool(self._buffer)

    async def read_until(self, separator: bytes) -> bytes:
        """Everything up to and including `separator`; b"" if the data ended cleanly before any byte.

        Raises MalformedMessageError past HIGH_WATER_BYTES, ConnectionResetError if the data ends half-way.
        """
        searched = 0
        while (at := self._buffer.find(separator, searched)) < 0:
            searched = max(0, len(self._buffer) - len(separator) + 1)
            if len(self._buffer) > HIGH_WATER_BYTES:
                raise MalformedMessageError(f"no {separator!r} within {HIGH_WATER_BYTES} bytes")
            if not await self._more():
                if self._buffer:
                    raise ConnectionResetError("the data ended inside a message")
                return b""
        return self._take(at + len(separator))

    async def read_part(self, limit_bytes: int = PART_BYTES) -> bytes:
        """At least one byte and at most `limit_bytes`; b"" at the end of the data."""
        while not self._buffer:
            if not await self._more():
                return b""
        return self._take(min(len(self._buffer), limit_bytes))

    async def send(self, data: bytes) -> None:
        """Write, and wait while the other end reads too slowly. Raises ConnectionResetError if it has gone."""
        if self.lost:
            raise ConnectionResetError("the connection is lost")
        self._transport.write(data)
        if self._drained is not None:
            await self._drained
            if self.lost:
                raise ConnectionResetError("the connection was lost")

    def send_end(self) -> None:
        """Close the sending half only."""
        if not self.lost and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close after what was written has been sent."""
        self._transport.close()

    def reset(self) -> None:
        """Drop it: the other end sees a connection reset. Harmless when it is closed already."""
        if not self._transport.is_closing():
            peer = cast("socket.socket", self._transport.get_extra_info("socket"))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._on_made:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > HIGH_WATER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._gone()
        return True  # the sending half stays open: a raw connection may be closed one half at a time

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True
        self.resume_writing()
        self._gone()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained and not drained.done():
            drained.set_result(None)

    def _gone(self) -> None:
        first, self.ended = not self.ended, True
        self._wake()
        if first and self.on_gone:
            self.on_gone()

    def _wake(self) -> None:
        if self._arrival and not self._arrival.done():
            self._arrival.set_result(None)

    async def _more(self) -> bool:
        """Wait for more bytes; False if none will come."""
        if self.ended:
            return False
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None
        return True

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


async def connect(host: str, port: int) -> Connection:
    """Open a connection to the target. Raises OSError if it is not there."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return connection

"""Frames: eight bytes of header, a performative, and for a transfer the payload."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.composites import Composite
from sandbox.servicebus.amqp.decoding import DecodeError, decode
from sandbox.servicebus.amqp.encoding import encode
from sandbox.servicebus.amqp.performatives import performative

if TYPE_CHECKING:
    from collections.abc import Iterator

AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
AMQP: Final = 0
SASL: Final = 1
EMPTY: Final = struct.pack(">IBBH", 8, 2, AMQP, 0)
"""Says only that the peer is alive."""

_HEADER: Final = struct.Struct(">IBBH")


@dataclass(slots=True)
class Frame:
    """One frame. `body` is None in an empty one; `payload` is what follows a transfer."""

    channel: int
    body: Composite | None
    payload: bytes


def write_frame(channel: int, body: Composite, payload: bytes = b"", kind: int = AMQP) -> bytes:
    """A frame's bytes. Trailing nulls of the performative are left out, as the specification allows."""
    described = body.described()
    items = described.value
    assert isinstance(items, list)  # noqa: S101 -- what a composite is
    while items and items[-1] is None:
        items.pop()
    written = encode(described)
    return _HEADER.pack(8 + len(written) + len(payload), 2, kind, channel) + written + payload


class FrameReader:
    """Cuts a stream of bytes into protocol headers and frames."""

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        self._buffer += data

    def header(self) -> bytes | None:
        """The next protocol header; None if it is not complete yet."""
        if len(self._buffer) < 8:
            return None
        taken = bytes(self._buffer[:8])
        del self._buffer[:8]
        return taken

    def frame(self) -> Frame | None:
        """The next frame; None if it is not complete yet. Raises DecodeError if it is none or too large."""
        if len(self._buffer) < 8:
            return None
        size, offset, _, channel = _HEADER.unpack_from(self._buffer)
        begin = offset * 4
        if not 8 <= begin <= size or size > self._max_frame_bytes:
            raise DecodeError(f"a frame of {size} bytes whose body begins at {begin}")
        if len(self._buffer) < size:
            return None
        content = bytes(self._buffer[begin:size])
        del self._buffer[:size]
        if not content:
            return Frame(channel, None, b"")
        value, after = decode(content)
        return Frame(channel, performative(value), content[after:])

    def frames(self) -> Iterator[Frame]:
        """All complete frames."""
        while (frame := self.frame()) is not None:
            yield frame

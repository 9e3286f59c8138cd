"""One client's connection: protocol headers, SASL, frames to sessions, and everything that is written."""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import Enum
from typing import TYPE_CHECKING, Final, cast

from sandbox.servicebus.amqp.composites import Error
from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.frames import AMQP_HEADER, EMPTY, SASL, SASL_HEADER, FrameReader, write_frame
from sandbox.servicebus.amqp.performatives import Begin, Close, End, Open, SaslInit, SaslMechanisms, SaslOutcome
from sandbox.servicebus.amqp.types import Array, Symbol
from sandbox.servicebus.auth import covers
from sandbox.servicebus.broker.namespace import DEAD_LETTERS
from sandbox.servicebus.wire.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.servicebus.amqp.composites import Composite
    from sandbox.servicebus.amqp.frames import Frame
    from sandbox.servicebus.broker.errors import RefusedError
    from sandbox.servicebus.wire.service import Service

MAX_FRAME_BYTES: Final = 64 * 1024
CHANNEL_MAX: Final = 4_999
IDLE_TIME_OUT_MS: Final = 240_000
FLUSH_BYTES: Final = 256 * 1024
MECHANISMS: Final = ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
_SASL_OK: Final = 0
_SASL_AUTH: Final = 1


class Phase(Enum):
    """What is expected next."""

    HEADER = "a protocol header"
    SASL = "sasl-init"
    AMQP_HEADER = "the protocol header of AMQP"
    FRAMES = "frames"
    CLOSED = "nothing"


class Connection(asyncio.Protocol):
    """Driven by its transport, without a task of its own: every frame is dealt with as it arrives.

    `on_made` and `on_gone` are called with it when it begins and when it has ended.
    """

    def __init__(
        self, service: Service, on_made: Callable[[Connection], None], on_gone: Callable[[Connection], None]
    ) -> None:
        self.service = service
        self.container_id = ""
        self.peer_frame_bytes = 512
        self.writable = True
        self._on_made = on_made
        self._on_gone = on_gone
        self._phase = Phase.HEADER
        self._reader = FrameReader(MAX_FRAME_BYTES)
        self._sessions: dict[int, Session] = {}
        self._opened: set[str] = set()
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flush_due = False
        self._heartbeat: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while self._step():
                pass
        except DecodeError as error:
            self.end("amqp:connection:framing-error", str(error))

    def connection_lost(self, _error: Exception | None) -> None:
        self._phase = Phase.CLOSED
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.ended()
        self._on_gone(self)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        for session in list(self._sessions.values()):
            session.pump()

    def send(self, channel: int, body: Composite, payload: bytes = b"") -> None:
        """Write a frame, unless the connection has ended."""
        if self._phase is not Phase.CLOSED:
            self._write(write_frame(channel, body, payload))

    def open_path(self, path: str) -> None:
        """A token was accepted: what lies below this path may be used."""
        self._opened.add(path)

    def may_use(self, path: str) -> bool:
        """Whether a token for this path was given."""
        return any(covers(opened, path) for opened in self._opened)

    def cut(self) -> None:
        """Drop it: the client sees a connection reset."""
        if not self._transport.is_closing():
            peer = cast("socket.socket", self._transport.get_extra_info("socket"))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._phase = Phase.CLOSED
        self._transport.abort()

    def end(self, condition: str, description: str) -> None:
        """Close it with an error."""
        self.send(0, Close(Error(condition, description)))
        self._finish()

    def detach(self, queue_name: str, error: RefusedError) -> None:
        """End the links to a queue that is gone."""
        for session in self._sessions.values():
            for link in list(session.links.values()):
                if link.queue_name in {queue_name, f"{queue_name}{DEAD_LETTERS}"}:
                    link.detach(error)

    def forget(self, channel: int) -> None:
        """A session has ended."""
        self._sessions.pop(channel, None)

    def _finish(self) -> None:
        self._flush()
        self._phase = Phase.CLOSED
        self._transport.close()

    def _write(self, data: bytes) -> None:
        """What is written in one turn of the loop leaves in one piece, unless it is much."""
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes > FLUSH_BYTES:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        out, self._out, self._out_bytes = self._out, [], 0
        if out and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def _step(self) -> bool:
        """Deal with the next header or frame; whether there was one."""
        match self._phase:
            case Phase.HEADER | Phase.AMQP_HEADER:
                header = self._reader.header()
                return header is not None and self._begin(header)
            case Phase.CLOSED:
                return False
            case _:
                frame = self._reader.frame()
                if frame is None:
                    return False
                self._frame(frame)
                return True

    def _begin(self, header: bytes) -> bool:
        if header == AMQP_HEADER and self._phase is Phase.AMQP_HEADER:
            self._write(AMQP_HEADER)
            self._phase = Phase.FRAMES
            return True
        self._write(SASL_HEADER)  # also the answer to a header that is not understood
        if header != SASL_HEADER or self._phase is not Phase.HEADER:
            self._finish()
            return False
        offered = SaslMechanisms(Array(Symbol(name) for name in MECHANISMS))
        self._write(write_frame(0, offered, kind=SASL))
        self._phase = Phase.SASL
        return True

    def _frame(self, frame: Frame) -> None:
        if self._phase is Phase.SASL:
            self._authenticate(frame.body)
            return
        match frame.body:
            case None:
                pass
            case Open() as opened:
                self._open(opened)
            case Begin() as begin:
                session = Session(self, frame.channel, begin)
                self._sessions[frame.channel] = session
                session.begin()
            case Close():
                self.send(0, Close())
                self._finish()
            case _ if frame.channel in self._sessions:
                self._sessions[frame.channel].receive(frame.body, frame.payload)
            case End():
                pass  # ours and theirs have crossed
            case _:
                self.end("amqp:connection:framing-error", f"there is no session on channel {frame.channel}")

    def _authenticate(self, body: Composite | None) -> None:
        if not isinstance(body, SaslInit) or body.mechanism not in MECHANISMS:
            raise DecodeError(f"expected sasl-init with one of {', '.join(MECHANISMS)}")
        accepted = body.mechanism != "PLAIN" or self._is_key(body.initial_response or b"")
        self._write(write_frame(0, SaslOutcome(_SASL_OK if accepted else _SASL_AUTH), kind=SASL))
        if accepted:
            self._phase = Phase.AMQP_HEADER
        else:
            self._finish()

    def _is_key(self, response: bytes) -> bool:
        """SASL PLAIN gives name and key at once, and with them every right."""
        _, _, rest = response.decode("utf-8", "replace").partition("\0")
        name, _, password = rest.partition("\0")
        accepted = self.service.authority.check_password(name, password)
        if accepted:
            self.open_path("")
        return accepted

    def _open(self, opened: Open) -> None:
        self.container_id = opened.container_id
        self.peer_frame_bytes = max(512, min(opened.max_frame_size, MAX_FRAME_BYTES))
        answer = Open(
            "servicebus-sandbox",
            max_frame_size=MAX_FRAME_BYTES,
            channel_max=CHANNEL_MAX,
            idle_time_out=IDLE_TIME_OUT_MS,
        )
        self.send(0, answer)
        if opened.idle_time_out:
            self._beat(opened.idle_time_out / 2_000)

    def _beat(self, every_s: float) -> None:
        """An empty frame now and then, so that the client does not take us for dead."""
        self._write(EMPTY)
        self._heartbeat = asyncio.get_running_loop().call_later(every_s, self._beat, every_s)

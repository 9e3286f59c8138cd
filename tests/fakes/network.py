"""What connects replicas, in memory: it may be cut, or hold back what is said for as long as a test likes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from replicator.config.models import ReplicasConfig
from replicator.replicas.invitation import Identity, Invitation
from replicator.replicas.network import Listening, Serve


class Wire(ByteStream):
    """One end of a connection. One that is `forsaken` never hears that the other end is gone."""

    def __init__(
        self, sends: MemoryObjectSendStream[bytes], receives: MemoryObjectReceiveStream[bytes], host: "Host"
    ) -> None:
        self._sends = sends
        self._receives = receives
        self._host = host
        self._closed = anyio.Event()
        self.forsaken = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            data = await self._receives.receive()
        except anyio.EndOfStream:
            if self.forsaken:
                await self._closed.wait()
            raise
        await self._host.going.wait()
        return data

    async def send(self, item: bytes) -> None:
        await self._host.going.wait()
        if not self.forsaken:
            await self._sends.send(item)

    async def send_eof(self) -> None:
        await self._sends.aclose()

    async def aclose(self) -> None:
        self._closed.set()
        await self._sends.aclose()
        await self._receives.aclose()


class Internet:
    """All that listen, by port."""

    def __init__(self) -> None:
        self.listening: dict[int, Host] = {}
        self.ports = iter(range(1, 10_000))


class Host:
    """One replica's network. While it is not `going`, nothing reaches it and nothing leaves it."""

    def __init__(self, internet: Internet) -> None:
        self.going = anyio.Event()
        self.going.set()
        self._internet = internet
        self._wires: list[Wire] = []
        self._accepted: MemoryObjectSendStream[Wire] | None = None

    async def listen(self, _: ReplicasConfig, identity: Identity, listening: Listening, serve: Serve) -> None:
        port = next(self._internet.ports)
        self._accepted, arriving = anyio.create_memory_object_stream[Wire](math.inf)
        self._internet.listening[port] = self
        try:
            await listening(Invitation("host", port, identity.token, identity.certificate))
            async with self._accepted, arriving, anyio.create_task_group() as tasks:
                async for wire in arriving:
                    tasks.start_soon(self._serve, serve, wire)
        finally:
            del self._internet.listening[port]

    async def _serve(self, serve: Serve, wire: Wire) -> None:
        await serve(wire)

    async def connect(self, invitation: Invitation) -> ByteStream | None:
        host = self._internet.listening.get(invitation.port)
        if host is None or host._accepted is None or not (host.going.is_set() and self.going.is_set()):
            await anyio.sleep(0.1)
            return None
        there, here = (
            anyio.create_memory_object_stream[bytes](math.inf),
            anyio.create_memory_object_stream[bytes](math.inf),
        )
        mine, theirs = Wire(there[0], here[1], self), Wire(here[0], there[1], host)
        self._wires += [mine, theirs]
        host._accepted.send_nowait(theirs)
        return mine

    async def cut(self) -> None:
        """Ends every connection that this one has made."""
        for wire in self._wires:
            await wire.aclose()
        self._wires.clear()

    async def reset(self) -> None:
        """As `cut`, but the others hear nothing of it."""
        for wire in self._wires:
            wire.forsaken = wire._host is not self
        for wire in self._wires:
            if wire._host is self:
                await wire.aclose()
        self._wires.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, nothing reaches it and nothing leaves it; afterwards all arrives."""
        self.going = anyio.Event()
        yield
        self.going.set()

"""Promises of the connection between replicas: calls are answered or known to be lost, and nobody else gets in."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from anyio.abc import ByteStream

from replicator.config.models import ReplicasConfig
from replicator.replicas.channel import (
    LENGTH_BYTES,
    MOST_BYTES,
    Channel,
    ChannelClosedError,
    Handler,
    Params,
    RefusedError,
)
from replicator.replicas.invitation import Invitation, new_identity
from replicator.replicas.network import TlsNetwork

NETWORK = TlsNetwork()


async def echo(params: Params) -> Params:
    return params


async def refuse(_: Params) -> None:
    raise RefusedError("not now")


@asynccontextmanager
async def listening(handlers: Mapping[str, Handler], told: list[int] | None = None) -> AsyncIterator[Invitation]:
    """A leader's end that answers with these, until it is left."""
    invited = list[Invitation]()
    begun = anyio.Event()

    async def is_listening(invitation: Invitation) -> None:
        invited.append(invitation)
        begun.set()

    async def serve(stream: ByteStream) -> None:
        takes = {"note": lambda params: (told if told is not None else []).append(params["number"])}
        await Channel(stream, handlers, takes).serve()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(NETWORK.listen, ReplicasConfig(), new_identity(), is_listening, serve)
        await begun.wait()
        yield invited[0]
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def connected(invitation: Invitation) -> AsyncIterator[Channel]:
    stream = await NETWORK.connect(invitation)
    assert stream is not None
    channel = Channel(stream, {}, {})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(channel.serve)
        yield channel
        await channel.close()


async def test_calls_are_answered_beside_each_other_whatever_their_size() -> None:
    waiting = anyio.Event()

    async def slow(_: Params) -> str:
        await waiting.wait()
        return "slow"

    async with listening({"echo": echo, "slow": slow}) as invitation, connected(invitation) as channel:
        answers: list[str] = []

        async def ask() -> None:
            answers.append(await channel.call("slow", {}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            large = {"text": "ä" * 3_000_000}
            assert await channel.call("echo", large) == large
            assert answers == []
            waiting.set()
        assert answers == ["slow"]


async def test_a_refusal_says_why_and_what_is_unknown_is_refused() -> None:
    async with listening({"refuse": refuse}) as invitation, connected(invitation) as channel:
        with pytest.raises(RefusedError, match="not now"):
            await channel.call("refuse", {})
        with pytest.raises(RefusedError, match="not known here"):
            await channel.call("whatever", {})


async def test_what_is_told_arrives_in_order() -> None:
    told: list[int] = []
    async with listening({"echo": echo}, told) as invitation, connected(invitation) as channel:
        for number in range(100):
            await channel.tell("note", {"number": number})
        await channel.call("echo", {})
    assert told == list(range(100))


async def test_a_call_fails_when_the_other_end_goes_away() -> None:
    async with connected_to_nobody() as channel:
        with pytest.raises(ChannelClosedError), anyio.fail_after(5):
            await channel.call("echo", {})
        with pytest.raises(ChannelClosedError):
            await channel.call("echo", {})
        with pytest.raises(ChannelClosedError):
            await channel.tell("note", {})


@asynccontextmanager
async def connected_to_nobody() -> AsyncIterator[Channel]:
    """The other end goes away when it is asked for anything."""

    async def leave(_: Params) -> None:
        scope.cancel()

    with anyio.CancelScope() as scope:
        async with listening({"echo": leave}) as invitation:
            stream = await NETWORK.connect(invitation)
            assert stream is not None
            channel = Channel(stream, {}, {})
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(channel.serve)
                    yield channel
                    await channel.close()


async def test_whoever_serves_another_certificate_is_not_connected_to() -> None:
    async with listening({"echo": echo}) as invitation:
        other = replace(invitation, certificate=new_identity().certificate)
        assert await NETWORK.connect(other) is None


MALFORMED = [
    b"no json", b"[]", b"3", b'{"method":[]}', b'{"id":"x","method":"echo"}', b'{"method":"echo","params":[]}',
    b'{"id":[]}', b"\xff",
]  # fmt: skip


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


async def ended(stream: ByteStream) -> None:
    """Returns when the other end has closed the connection."""
    with anyio.fail_after(5):
        while True:
            try:
                await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                break
    await anyio.aclose_forcefully(stream)


@pytest.mark.parametrize("data", [*map(framed, MALFORMED), (MOST_BYTES + 1).to_bytes(LENGTH_BYTES, "big")])
async def test_what_is_no_message_ends_one_connection_and_no_other(data: bytes) -> None:
    async with listening({"echo": echo}) as invitation, connected(invitation) as channel:
        stream = await NETWORK.connect(invitation)
        assert stream is not None
        await stream.send(data)
        await ended(stream)
        assert await channel.call("echo", {"still": "here"}) == {"still": "here"}


async def test_what_is_not_encrypted_ends_one_connection_and_no_other() -> None:
    async with listening({"echo": echo}) as invitation, connected(invitation) as channel:
        stream = await anyio.connect_tcp(invitation.host, invitation.port)
        await stream.send(b"GET / HTTP/1.1\r\n\r\n")
        await ended(stream)
        assert await channel.call("echo", {"still": "here"}) == {"still": "here"}


async def test_nobody_listening_is_no_connection() -> None:
    async with listening({}) as invitation:
        pass
    assert await NETWORK.connect(invitation) is None

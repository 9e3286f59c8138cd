"""Where messages end on the wire, however they are cut into packets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.faults.connection import HIGH_WATER_BYTES, Connection, MalformedMessageError
from sandbox.faults.wire import (
    body_parts,
    buffer_body,
    edited_head,
    read_request,
    read_response,
    unchunked,
)

CHUNKED = b"4\r\nWiki\r\n6;ext=1\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\n"


def received(*packets: bytes) -> Connection:
    """A connection whose other end has sent these packets and closed."""
    connection = Connection()
    for packet in packets:
        connection.data_received(packet)
    connection.eof_received()
    return connection


async def test_messages_of_both_framings_are_told_apart() -> None:
    source = received(
        b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Le",
        b"ngth: 3\r\nX-Amz-Target: T.Op\r\n\r\nab",
        b"cPUT /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED + b"GET / HTTP/1.0\r\n\r\n",
    )
    first = await read_request(source)
    assert first is not None
    assert (first.method, first.target, first.headers["x-amz-target"]) == ("POST", "/a?b", "T.Op")
    assert await buffer_body(source, first) == b"abc"
    second = await read_request(source)
    assert second is not None
    assert await buffer_body(source, second) == CHUNKED
    third = await read_request(source)
    assert third is not None
    assert (await buffer_body(source, third), third.keeps_alive, first.keeps_alive) == (b"", False, True)
    assert await read_request(source) is None


@given(parts=st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_chunks_decode_to_what_was_chunked(parts: list[bytes]) -> None:
    wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    assert unchunked(wire) == b"".join(parts)


@pytest.mark.parametrize(
    ("method", "head", "length", "keeps_alive"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 5, True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0, True),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 0, True),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 0, True),
        ("GET", b"HTTP/1.1 200 OK\r\n\r\n", None, False),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 0, False),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", 1, True),
    ],
)
async def test_where_a_response_ends(method: str, head: bytes, length: int | None, keeps_alive: bool) -> None:
    response = await read_response(received(head), method)
    assert (response.length, response.keeps_alive) == (length, keeps_alive)


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    source = received(b"HTTP/1.1 200 OK\r\n\r\nall ", b"of it")
    assert await buffer_body(source, await read_response(source, "GET")) == b"all of it"


@pytest.mark.parametrize(
    "wire",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"POST / HTT",
    ],
)
async def test_a_message_that_ends_half_way_is_a_lost_connection(wire: bytes) -> None:
    source = received(wire)

    async def read_whole() -> None:
        message = await read_request(source)
        assert message is not None
        async for _ in body_parts(source, message):
            pass

    with pytest.raises(ConnectionResetError):
        await read_whole()


@pytest.mark.parametrize("wire", [b"nonsense\r\n\r\n", b"P / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"])
async def test_what_is_not_http_is_refused(wire: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        await read_request(received(wire))


async def test_an_endless_head_is_refused() -> None:
    source = Connection()
    source._reading_paused = True  # there is no transport to pause
    source.data_received(b"x" * (HIGH_WATER_BYTES + 1))
    with pytest.raises(MalformedMessageError):
        await read_request(source)


def test_editing_a_head_keeps_everything_else_as_it_was() -> None:
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-LENGTH: 4\r\n\r\n"
    edited = edited_head(head, drop={"content-length"}, length=7)
    assert edited == b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 7\r\n\r\n"

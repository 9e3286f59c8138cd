"""Promises of the page's events: they come by themselves, are bounded in number and size, and end with the server."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic

import httpx
import pytest

from fakes.served import PIPELINES, Served, served
from fakes.statuses import FINE, but
from replicator.api import server
from replicator.api.page import gathering, streams
from replicator.cutover import Cutover

EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "INTERVAL_S", 0.02)
    monkeypatch.setattr(gathering, "FRESH_S", 0.0)


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        up.daemon.statuses = {name: but(FINE, name=name) for name in PIPELINES}
        yield up


@pytest.fixture
def client(place: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=place.url, trust_env=False, timeout=5) as client:
        yield client


def events(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    """Their names and data, as they come."""
    name, data = "", []
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            data.append(line[6:])
        elif not line:
            yield name, "\n".join(data)
            data = []


def raw_stream(place: Served) -> socket.socket:
    """A connection on which a stream was asked for, and nothing has been read."""
    url = httpx.URL(place.url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(5)
    raw.connect((url.host, url.port))
    raw.sendall(f"GET /v1/page HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nAccept: text/event-stream\r\n\r\n".encode())
    return raw


def all_of(raw: socket.socket) -> bytes:
    """What comes until the other side closes."""
    read = b""
    while part := raw.recv(65_536):
        read += part
    return read


def status_within(client: httpx.Client, wanted: int, seconds: float = 30) -> bool:
    """Whether a new stream is answered so, in the end."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        with client.stream("GET", "/v1/page", headers=EVENTS) as answer:
            if answer.status_code == wanted:
                return True
    return False


def test_what_changes_is_told_without_being_asked(place: Served, client: httpx.Client) -> None:
    with client.stream("GET", "/v1/page", headers=EVENTS) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        told = events(answer)
        name, first = next(told)
        assert (name, 'data-lag="orders"' in first, "paused" in first) == ("content", True, False)
        assert 'data-keep="orders"' in next(told)[1], "its picture stays until the next stretch"
        place.daemon.statuses = {name: but(FINE, name=name, paused=True) for name in PIPELINES}
        assert any("paused" in data for _, (_, data) in zip(range(100), told, strict=False))


def test_pictures_of_the_lag_come_again(client: httpx.Client) -> None:
    with client.stream("GET", "/v1/page", headers=EVENTS) as answer:
        has_pictures = ["data-lag" in data for _, (_, data) in zip(range(21), events(answer), strict=False)]
    assert has_pictures == ([True] + [False] * 9) * 2 + [True]


def test_nothing_is_gathered_while_nobody_looks(place: Served, client: httpx.Client) -> None:
    asked = 0
    judge = place.daemon.watch.judge

    def counting() -> Cutover:
        nonlocal asked
        asked += 1
        return judge()

    place.daemon.watch.judge = counting  # type: ignore[method-assign]  # counts, and judges
    with client.stream("GET", "/v1/page", headers=EVENTS) as answer:
        next(events(answer))
    assert asked
    before, quiet_since = asked, monotonic()
    while monotonic() < quiet_since + 0.3:
        client.get("/healthz")
        if asked != before:
            before, quiet_since = asked, monotonic()
        assert asked < 100, "it goes on"


def test_streams_are_bounded_and_their_places_free_again(
    place: Served, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS", 3)
    with ExitStack() as opened:
        told = [events(opened.enter_context(client.stream("GET", "/v1/page", headers=EVENTS))) for _ in range(3)]
        assert [next(each)[0] for each in told] == ["content"] * 3
        refused = opened.enter_context(client.stream("GET", "/v1/page", headers=EVENTS))
        assert refused.status_code == 503
        assert refused.read() == b'{"detail":"too many are looking: ask without a stream"}'
        assert client.get("/v1/page").status_code == 200, "whoever polls is served"
    assert status_within(client, 200)


def test_an_event_that_is_too_large_is_not_sent(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_EVENT_BYTES", 100)
    with client.stream("GET", "/v1/page", headers=EVENTS) as answer:
        name, data = next(events(answer))
    assert name == "oversized"
    assert int(data) > 1000


def test_whoever_does_not_read_is_cut_off(
    place: Served, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, with what was still to be sent, which a connection that is only closed would keep."""
    monkeypatch.setattr(streams, "MOST_STREAMS", 1)
    monkeypatch.setattr(streams, "SEND_TIMEOUT_S", 0.2)
    monkeypatch.setattr(streams, "INTERVAL_S", 0.0)
    with closing(raw_stream(place)) as raw:
        assert status_within(client, 503), "it has its place"
        assert status_within(client, 200)
        assert not all_of(raw).endswith(b"0\r\n\r\n"), "as if that had been all"
    assert [r.getMessage() for r in caplog.records if r.name == "uvicorn.error"] == [], "the server waits for it"


def test_streams_end_with_the_server_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STOP_TIMEOUT_S", 60)
    with served(tmp_path, capsys) as up:
        raw = raw_stream(up)
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")
        began = monotonic()
    with closing(raw):
        assert all_of(raw).endswith(b"event: ending\ndata: .\n\n\r\n0\r\n\r\n")
    assert monotonic() - began < server.STOP_TIMEOUT_S / 2

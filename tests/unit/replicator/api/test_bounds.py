"""Promises of bounded requests: what is too large or too slow has no effect, and is answered."""

import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

from fakes.served import Served, served
from replicator.api import server
from replicator.api.bounds import MOST_BODY_BYTES, MOST_HEADER_BYTES, Bounds


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


def ask(place: Served, request: bytes, within_s: float = 5) -> bytes:
    """What a raw request is answered until the connection is closed."""
    url = httpx.URL(place.url)
    with socket.create_connection((url.host, url.port or 80), timeout=within_s) as raw:
        raw.sendall(request)
        answer = b""
        while part := raw.recv(65_536):
            answer += part
        return answer


JSON = {"Content-Type": "application/json"}

HEAD = b"POST /v1/dead-letters/retry HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "content", [b"x" * (MOST_BODY_BYTES + 1), iter([b"x" * 65_536] * 80)], ids=["announced", "in pieces"]
)
def test_a_body_that_is_too_large_is_refused(place: Served, content: bytes | Iterator[bytes]) -> None:
    with httpx.Client(base_url=place.url, trust_env=False) as client:
        try:
            answer = client.post(
                "/v1/dead-letters/retry", content=content, headers={"Content-Type": "application/json"}
            )
        except (httpx.WriteError, httpx.ReadError):  # it was closed while more was being sent
            return
    assert answer.status_code == 413
    assert place.daemon.recorded == []


def test_a_body_that_does_not_come_is_given_up(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bounds.__init__, "__defaults__", (100, 0.1, 1000))
    assert b"408" in ask(place, HEAD + b"Content-Length: 10\r\n\r\nx").splitlines()[0]


def test_bodies_of_all_requests_together_are_bounded(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while they come in; what was held is free again when its request is over."""
    monkeypatch.setattr(Bounds.__init__, "__defaults__", (1000, 5.0, 100))
    with httpx.Client(base_url=place.url, trust_env=False) as client:
        for _ in range(3):
            answer = client.post("/v1/dead-letters/retry", content=b"x" * 101, headers=JSON)
            assert answer.status_code == 503
            assert client.post("/v1/dead-letters/retry", content=b"x" * 60, headers=JSON).status_code == 422
        with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=5) as other:
            other.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + b"x" * 60)
            deadline = monotonic() + 30
            while client.post("/v1/dead-letters/retry", content=b"x" * 60, headers=JSON).status_code != 503:
                assert monotonic() < deadline, "half of a body is held too"
    assert place.daemon.recorded == []


def test_headers_are_bounded(place: Served) -> None:
    assert b" 400 " in ask(place, HEAD + b"X: " + b"x" * MOST_HEADER_BYTES).splitlines()[0]


@pytest.mark.parametrize("sent", [b"", b"GET / HT"])
def test_a_request_that_does_not_come_is_given_up(place: Served, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "HEADER_TIMEOUT_S", 0.1)
    assert ask(place, sent) == b""


@pytest.mark.parametrize("body", ["{", '{"pipeline": NaN}', '{"pipeline": "\\ud800"}', '{"\\ud800": 1}', '["sesame"]'])
def test_a_malformed_body_is_refused_without_being_repeated(place: Served, body: str) -> None:
    with httpx.Client(base_url=place.url, trust_env=False) as client:
        answer = client.post("/v1/dead-letters/retry", content=body, headers=JSON)
    assert answer.status_code == 422
    assert "sesame" not in answer.text
    assert place.daemon.recorded == []


@pytest.mark.parametrize("path", ["/v1/dead-letters/retry", "/v1/dead-letters/show", "/v1/dead-letters/discard"])
def test_every_refusal_is_published(place: Served, path: str) -> None:
    with httpx.Client(base_url=place.url, trust_env=False) as client:
        published = client.get("/openapi.json").json()
    assert published["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    operation = published["paths"][path]["post"]
    assert operation["security"] == [{"token": []}]
    assert {"401", "403", "404", "408", "409", "413", "415", "422"} <= set(operation["responses"])


def test_who_asks_through_a_local_proxy_is_the_one_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what is only for this machine is not for whoever the proxy serves. No variable of the environment changes whom
    that is believed of.
    """
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.9.9.9")
    with served(tmp_path, capsys) as up, httpx.Client(base_url=up.url, trust_env=False) as client:
        assert client.get("/v1/dead-letters").status_code == 200
        assert client.get("/v1/dead-letters", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403

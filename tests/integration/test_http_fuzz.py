"""Promise: unauthorised, malformed and oversized calls are refused, as published, and change nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from fakes.served import Served, served
from replicator.model import Payload, Rejection

schemathesis = pytest.importorskip("schemathesis", reason="it comes with the extra dev")

TOKEN = "a token of some length"

ORDINARY, LONG = 3, 500
"""Calls of each route, of each kind."""

STARTING = {"/readyz", "/v1/pipelines"}
"""Answer 503 until the daemon has begun, as this one never does."""


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys, TOKEN) as up:
        rejections = [Rejection(f"k{n}", "no", payload=Payload("v", {}, "sesame")) for n in range(3)]
        up.portal.call(up.daemon.store.add_dead_letters, "orders", "p", rejections)
        yield up


def state(folder: Path) -> str:
    """Everything that is stored."""
    with closing(sqlite3.connect(folder / "state.sqlite")) as db:
        return "\n".join(db.iterdump())


def fuzz(place: Served, folder: Path, calls: int, token: str | None) -> set[int]:
    """Calls each route, well-formed and malformed; returns the codes of all answers."""
    schema = schemathesis.openapi.from_url(f"{place.url}/openapi.json")
    codes: set[int] = set()
    for found in schema.get_all_operations():
        for mode in schemathesis.GenerationMode:
            with suppress(Unsatisfiable):  # there is nothing that could be malformed
                codes |= fuzz_route(found.ok(), mode, folder, calls, token)
    return codes


def fuzz_route(operation: Any, mode: Any, folder: Path, calls: int, token: str | None) -> set[int]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    guarded = bool(operation.definition.raw.get("security"))
    codes: set[int] = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=calls, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def call(case: Any) -> None:
        before = state(folder)
        answer = case.call(headers=headers)
        codes.add(answer.status_code)
        told = f"{case.method} {case.formatted_path} {case.body!r}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code < 500 or case.path in STARTING, told
        case.validate_response(answer, checks=conformance())
        if guarded and token is None:
            assert answer.status_code >= 400, told
            assert "sesame" not in answer.text, told
        if answer.status_code >= 400 or case.method == "GET":
            assert state(folder) == before, told

    call()
    return codes


def conformance() -> list[Any]:
    """That an answer is one of those that are published, and of the published shape."""
    checks = import_module("schemathesis.specs.openapi.checks")
    return [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]


@pytest.mark.parametrize("token", [TOKEN, None], ids=["authorised", "unauthorised"])
def test_nothing_is_broken_by_what_it_is_asked(place: Served, tmp_path: Path, token: str | None) -> None:
    codes = fuzz(place, tmp_path, ORDINARY, token)
    assert codes >= ({200, 404, 422} if token else {200, 401})


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("token", [TOKEN, None], ids=["authorised", "unauthorised"])
def test_nothing_is_broken_by_much(place: Served, tmp_path: Path, token: str | None) -> None:
    fuzz(place, tmp_path, LONG, token)

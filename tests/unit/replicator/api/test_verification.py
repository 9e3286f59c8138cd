"""Promises of verification over HTTP, and of the command that asks for it: what is told is what was found."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from unittest.mock import patch

import anyio
import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from fakes.statuses import FINE, but
from replicator.api import verification
from replicator.api.access import Access
from replicator.api.app import create_app
from replicator.api.server import bind, serve, url_of
from replicator.cli import main
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.cutover import Cutover, Watch
from replicator.engine.rounds import Ask, Difference, Note, Round
from replicator.errors import ConfigurationError
from replicator.naming import Naming
from replicator.status import PipelineStatus, VerificationStatus

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NO_MESSAGES = {"in_hand": 0, "forwarded": 0, "refused": 0, "lost": 0}
PIPELINE = PipelineConfig(source=SourceConfig(type="none"), target=TargetConfig(type="none"))
FOUND = [Difference(f"k{n}", "different", "a", "b", "dead letter: too large" if n == 1 else "") for n in range(5)]


@dataclass
class Verifier:
    """A daemon that finds `found`, some looks after a round was begun."""

    found: list[Difference] = field(default_factory=list)
    error: ConfigurationError | None = None
    unsettled: int = 0
    looks: int = 2
    asked: list[tuple[list[str], Ask]] = field(default_factory=list)
    recorded: list[tuple[str, str, str]] = field(default_factory=list)
    naming: Naming = field(default_factory=Naming)
    config: MigrationConfig = field(
        default_factory=lambda: MigrationConfig(migration="shop", pipelines={"orders": PIPELINE, "customers": PIPELINE})
    )
    statuses: dict[str, PipelineStatus] = field(
        default_factory=lambda: {
            "orders": but(
                FINE,
                verification=VerificationStatus(
                    running=True, compared=3, total=10, eta_s=7.5, began_at=None, ended_at=None, differences=0,
                    unsettled=0,
                ),
            )
        }
    )  # fmt: skip
    notes: dict[str, Note] = field(default_factory=dict)

    async def verify(self, pipelines: Sequence[str], ask: Ask) -> None:
        if self.error is not None:
            raise self.error
        self.asked.append((list(pipelines), ask))
        for name in pipelines:
            begun = Round(T0, ask, compared=3, scanned=2)
            begun.findings = {each.key: each for each in self.found}
            begun.differences, begun.unsettled = len(self.found), self.unsettled
            self.notes[name] = Note(begun)

    def verifications(self) -> verification.Verifications:
        self.looks -= 1
        for note in self.notes.values():
            assert note.round is not None
            note.round.ended_at = T0 if self.looks <= 0 else None
        return {name: (note, NO_MESSAGES) for name, note in self.notes.items()}

    def cutover(self) -> Cutover:
        return Watch(self.config).judge()

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None:
        self.recorded.append((name, pipeline, detail))


def app_of(daemon: Verifier, token: str | None = None) -> FastAPI:
    access = Access(SecretStr(token) if token else None)
    return create_app(daemon, CollectorRegistry(), verification.router(daemon, access))


@asynccontextmanager
async def client_of(daemon: Verifier, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_of(daemon, token))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


async def test_a_round_is_begun_for_all_and_written_down() -> None:
    daemon = Verifier(looks=9)
    async with client_of(daemon) as client:
        answer = await client.post("/v1/verification", json={"repair": True, "sample": 7, "bytes": True})
    assert answer.status_code == 200
    assert daemon.asked == [(["orders", "customers"], Ask(7, contents=True, repair=True))]
    assert daemon.recorded == [("verify", "", "repair, sample 7, bytes")]
    told = answer.json()["rounds"]["orders"]
    assert (told["running"], told["clean"], told["compared"], told["total"], told["eta_s"]) == (True, None, 3, 10, 7.5)
    assert told["began_at"] == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("body", "status"),
    [({"pipeline": "nope"}, 404), ({"sample": 0}, 422), ({"repiar": True}, 422), ({"pipeline": "x" * 99}, 422)],
)
async def test_what_makes_no_sense_is_refused_without_effect(body: dict[str, object], status: int) -> None:
    daemon = Verifier()
    async with client_of(daemon) as client:
        assert (await client.post("/v1/verification", json=body)).status_code == status
    assert not daemon.asked


async def test_it_is_for_those_who_may() -> None:
    daemon = Verifier()
    async with client_of(daemon, "sixteen characters") as client:
        assert (await client.post("/v1/verification", json={})).status_code == 401
        assert (await client.get("/v1/verification")).json() == {"rounds": {"orders": None, "customers": None}}
    assert not daemon.asked


async def test_a_pipeline_that_cannot_be_verified_says_why() -> None:
    error = ConfigurationError("pipelines.orders", "is not following yet", "Wait")
    async with client_of(Verifier(error=error)) as client:
        answer = await client.post("/v1/verification", json={})
    assert (answer.status_code, answer.json()) == (409, {"detail": str(error)})


async def test_findings_come_page_by_page_and_keys_as_the_config_says() -> None:
    daemon = Verifier(FOUND, naming=Naming(b"secret"))
    seen: list[str] = []
    async with client_of(daemon) as client:
        nothing = (await client.get("/v1/verification/findings?pipeline=orders")).json()
        assert nothing == {"began_at": None, "findings": [], "next": None}
        await client.post("/v1/verification", json={})
        after: int | None = 0
        while after is not None:
            path = f"/v1/verification/findings?pipeline=orders&limit=2&after={after}"
            page = (await client.get(path)).json()
            seen += [each["key"] for each in page["findings"]]
            after = page["next"]
        assert (await client.get("/v1/verification/findings?pipeline=nope")).status_code == 404
    assert seen == [daemon.naming.key(f"k{n}") for n in range(5)]
    assert "k1" not in seen


async def test_findings_are_told_to_whoever_may_only() -> None:
    """They name records."""
    async with client_of(Verifier(FOUND), token="sixteen characters") as client:
        assert (await client.get("/v1/verification/findings?pipeline=orders")).status_code == 401
        right = {"Authorization": "Bearer sixteen characters"}
        assert (await client.get("/v1/verification/findings?pipeline=orders", headers=right)).status_code == 200


def replicator(daemon: Verifier, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command against this daemon."""

    @asynccontextmanager
    async def serving() -> AsyncIterator[str]:
        with bind("127.0.0.1:0") as listening:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve, app_of(daemon), listening)
                yield url_of(listening)
                tasks.cancel_scope.cancel()

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving()) as url:
        command = ["replicator", "verify", *arguments, "--url", url]
        with patch.object(sys, "argv", command), pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), *capsys.readouterr()


def test_the_command_waits_for_the_end_and_is_fine_when_all_is_equal(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, error = replicator(Verifier(looks=3), capsys, "--pipeline", "orders")
    assert code == 0
    assert output == "orders: CLEAN, 3 records compared; as of 2026-01-01T00:00:00+00:00\n"
    assert error == "orders: compared 3 of 10, then 2 back, about 7.5 s left\n"


def test_the_command_names_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    daemon = Verifier([replace_key(FOUND[1], "k\x1b[31m1")])
    code, output, _ = replicator(daemon, capsys, "--pipeline", "orders", "--repair", "--sample", "5", "--bytes")
    assert code == 1
    assert daemon.asked == [(["orders"], Ask(5, contents=True, repair=True))]
    assert output == (
        "orders: NOT CLEAN (a sample), 3 records compared, 1 differ; as of 2026-01-01T00:00:00+00:00\n"
        "  different: k\\u001b[31m1\n    source  a\n    target  b\n    reason  dead letter: too large\n"
    )


def test_unsettled_is_not_clean_for_machines_either(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = replicator(Verifier(FOUND, unsettled=1), capsys, "--json")
    told = json.loads(output)
    assert (code, told["clean"]) == (1, False)
    assert [each["key"] for each in told["pipelines"]["orders"]["findings"]] == [each.key for each in FOUND]
    code, output, _ = replicator(Verifier(unsettled=1), capsys, "--json")
    assert (code, json.loads(output)["clean"]) == (1, False)


def test_what_cannot_be_verified_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigurationError("pipelines.orders", "is not following yet", "Wait")
    code, output, said = replicator(Verifier(error=error), capsys)
    assert (code, output) == (2, "")
    assert "is not following yet" in said


def test_another_round_in_the_place_of_the_one_that_was_asked_for_is_no_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A sample that is clean must not pass for everything."""

    class Replaced(Verifier):
        async def verify(self, pipelines: Sequence[str], ask: Ask) -> None:
            await super().verify(pipelines, ask)
            for note in self.notes.values():
                note.begin(Round(T0, Ask(sample=1, repair=True)))

    code, output, said = replicator(Replaced(), capsys)
    assert (code, output) == (2, "")
    assert "another round has taken its place" in said


def test_a_round_of_a_pipeline_that_has_failed_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"orders": but(FINE, phase="failed", failure="the position is lost")}
    code, output, said = replicator(Verifier(looks=1000, statuses=failed), capsys, "--pipeline", "orders")
    assert (code, output) == (2, "")
    assert "has failed" in said


def replace_key(found: Difference, key: str) -> Difference:
    return Difference(key, found.kind, found.source, found.target, found.reason)

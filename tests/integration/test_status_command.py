"""Promises of `replicator status`: it says what the daemon says, to people and to machines, and who else answers."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fakes.served import Served, run_command, served
from fakes.statuses import FINE, but, told
from sandbox.processes import replicator_program


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """The address of a service that answers every GET with this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not of interest."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_daemon_that_is_starting_is_not_called_fine(place: Served) -> None:
    assert place.replicator("status", expect=1) == "shop: starting, nothing is known yet\n"
    assert json.loads(place.replicator("status", "--json", expect=1)) == {
        "migration": "shop",
        "phase": "",
        "pipelines": {},
        "replicas": [],
    }


def test_what_needs_attention_decides_the_exit_code(place: Served) -> None:
    place.daemon.statuses = {"orders": FINE}
    assert place.replicator("status") == "orders: following, copied 5 done, applied 9 (2/s), lag 1.3 s\n"
    failing = but(FINE, dead_letters=2, problems=["2 dead letters are open"])
    place.daemon.statuses = {"orders": failing, "customers": but(FINE, name="customers")}
    said = place.replicator("status", expect=1).splitlines()
    assert said[0].endswith("lag 1.3 s, 2 dead letters")
    assert said[2] == "orders: 2 dead letters are open"
    snapshot = json.loads(place.replicator("status", "--json", expect=1))
    assert snapshot["pipelines"]["orders"]["problems"] == ["2 dead letters are open"]


def test_a_daemon_on_this_machine_is_asked_past_any_proxy(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    place.daemon.statuses = {"orders": FINE}
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert "following" in place.replicator("status")
    monkeypatch.setenv("REPLICATOR_URL", place.url)
    assert run_command("status") == 0


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b"{}", b"", b"\xff\xfe"])
def test_another_service_is_not_taken_for_a_daemon(body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(body) as url:
        code = run_command("status", "--url", url)
    assert code == 2
    assert "is not replicator" in capsys.readouterr().err


def test_the_answer_of_a_newer_daemon_is_read_and_passed_on_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """What this command does not know is no reason to say nothing, and the daemon's judgement counts."""
    newer = {**FINE.model_dump(mode="json"), "phase": "draining", "fenced": {"at": 1}, "problems": ["not fenced"]}
    answer = {"migration": "shop", "pipelines": {"orders": newer}, "cutover": "2027"}
    with answering(json.dumps(answer).encode()) as url:
        assert run_command("status", "--url", url) == 1
        lines = capsys.readouterr().out.splitlines()
        assert run_command("status", "--json", "--url", url) == 1
    assert lines == ["orders: draining, copied 5 done, applied 9 (2/s), lag 1.3 s", "orders: not fenced"]
    assert json.loads(capsys.readouterr().out) == answer


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lag_s": "soon"}, "pipelines.orders.lag_s: Input should be a valid number"),
        (
            {"replicated_through": "2026-11-23T09:36:02"},
            "orders.replicated_through: Input should have timezone",
        ),
        ({"problems": None}, "pipelines.orders.problems: Input should be a valid list"),
    ],
    ids=str,
)
@pytest.mark.parametrize("options", [[], ["--json"], ["--watch"]], ids=str)
def test_a_status_that_cannot_be_read_is_not_guessed_at(
    changes: dict[str, object], named: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.loads(told(orders=FINE).model_dump_json())
    body["pipelines"]["orders"] |= changes
    with answering(json.dumps(body).encode()) as url:
        assert run_command("status", *options, "--url", url) == 2
    error = capsys.readouterr().err
    assert f"the status that {url} tells cannot be read (" in error
    assert named in error
    assert "Use the replicator command of the daemon's own version" in error


def test_a_status_without_a_member_is_not_taken_for_a_good_one(capsys: pytest.CaptureFixture[str]) -> None:
    body = json.loads(told(orders=FINE).model_dump_json())
    del body["pipelines"]["orders"]["problems"]
    with answering(json.dumps(body).encode()) as url:
        assert run_command("status", "--url", url) == 2
    assert "(pipelines.orders.problems: Field required)" in capsys.readouterr().err


def test_nobody_there_is_said_plainly(place: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("status", "--url", "http://127.0.0.1:9") == 2
    assert "no daemon answers at http://127.0.0.1:9 (Connection refused)" in capsys.readouterr().err


@pytest.mark.parametrize("problem", [False, True])
async def test_watching_goes_on_until_interrupted(place: Served, tmp_path: Path, problem: bool) -> None:
    """Without a terminal line by line; the exit code is that of the last answer."""
    shown = but(FINE, problems=["1 dead letter is open"] if problem else [])
    place.daemon.statuses = {"orders": shown}
    async with replicator_program(tmp_path / "watch.log", "status", "--watch", "--url", place.url) as program:
        await program.line("applied 9 ")
        place.daemon.statuses = {"orders": but(shown, applied=10)}
        await program.line("applied 10 ")
        program.send(signal.SIGINT)
        assert await program.wait(10) == int(problem), program.text()
    assert "Traceback" not in program.text()


async def test_watching_waits_for_a_daemon_that_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(tmp_path, capsys) as place:
        place.daemon.statuses = {"orders": FINE}
        program = replicator_program(tmp_path / "watch.log", "status", "--watch", "--url", place.url)
        program.start()
        await program.line("applied 9 ")
    try:
        await program.line("the status below is the last one")
        program.send(signal.SIGINT)
        assert await program.wait(10) == 2
        assert program.text().splitlines()[-1].startswith("replicator: --url: no daemon answers")
    finally:
        await program.stop()


def test_a_reader_that_leaves_is_no_bug(place: Served, tmp_path: Path) -> None:
    """As `head` does."""
    place.daemon.statuses = {"orders": FINE}
    command = [sys.executable, "-c", "from replicator.cli import main; main()", "status", "--json", "--url", place.url]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)  # noqa: S603 — ours
    os.close(writing)
    assert b"Traceback" not in done.stderr, done.stderr
    assert done.returncode == 1

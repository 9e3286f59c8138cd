"""Promises of `replicator status`: it says what the daemon says, to people and to machines, and who else answers."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fakes.served import Served, run_command, served
from replicator.engine.status import PipelineStatus
from sandbox.processes import replicator_program

FINE = PipelineStatus(
    name="orders", phase="following", copy_stage="swept", repairing=False, begins_in_s=0, epoch=1, failure="", copied=5,
    copy_total=5, copied_per_s=0, copy_eta_s=0, read=9, applied=9, coalesced=0, rejected=0, late=0, applied_per_s=1.5,
    replicated_through=None, lag_s=1.21, stream_lag_s=1.2, retention_headroom_s=None, partitions={}, dead_letters=0,
    suspect_keys=0, concurrency=1,
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


def test_a_daemon_that_is_starting_is_not_called_fine(place: Served) -> None:
    assert place.replicator("status", expect=1) == "shop: starting, nothing is known yet\n"
    assert json.loads(place.replicator("status", "--json", expect=1)) == {"migration": "shop", "pipelines": {}}


def test_what_needs_attention_decides_the_exit_code(place: Served) -> None:
    place.daemon.statuses = {"orders": FINE}
    assert place.replicator("status") == "orders: following, copied 5 done, applied 9 (2/s), lag 1.3 s\n"
    place.daemon.statuses = {"orders": replace(FINE, dead_letters=2), "customers": replace(FINE, name="customers")}
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
        code = run_command("status", "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert code == 2
    assert "is not replicator" in capsys.readouterr().err


def test_nobody_there_is_said_plainly(place: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("status", "--url", "http://127.0.0.1:9") == 2
    assert "no daemon answers at http://127.0.0.1:9 (Connection refused)" in capsys.readouterr().err


@pytest.mark.parametrize("problem", [False, True])
async def test_watching_goes_on_until_interrupted(place: Served, tmp_path: Path, problem: bool) -> None:
    """Without a terminal line by line; the exit code is that of the last answer."""
    place.daemon.statuses = {"orders": replace(FINE, dead_letters=int(problem))}
    async with replicator_program(tmp_path / "watch.log", "status", "--watch", "--url", place.url) as program:
        await program.line("applied 9 ")
        place.daemon.statuses = {"orders": replace(FINE, applied=10, dead_letters=int(problem))}
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

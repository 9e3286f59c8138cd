"""Promise: a program that is forked is as one that was started anew, but for what is loaded."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from sandbox.processes import Program
from scenarios.preloaded import Preloaded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere programs are not forked")

TELL = """
import atexit, json, os, signal, sys, threading
atexit.register(lambda: print("at the end"))
handled = [signal.getsignal(number) == default for number, default in (
    (signal.SIGCHLD, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler))]
print(json.dumps({
    "arguments": sys.argv[1:],
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "session": os.getsid(0) == os.getpid(),
    "files": len(os.listdir("/proc/self/fd")) - 1,
    "threads": threading.active_count(),
    "handled": handled,
    "name": __name__,
    "loaded": "replicator.engine.daemon" in sys.modules,
}))
print("said", file=sys.stderr)
sys.exit(7)
"""

WAIT = "import signal; print('waits', flush=True); signal.pause()"


async def test_its_surroundings_and_its_exit_code_are_its_own(preloaded: Preloaded, tmp_path: Path) -> None:
    program = Program([sys.executable, "-c", TELL, "one", "two words"], tmp_path / "log", {"OWN": "value"})
    async with program:
        assert await program.wait() == 7
    *lines, last = program.text().splitlines()
    told = json.loads(next(line for line in lines if line.startswith("{")))
    assert told == {
        "arguments": ["one", "two words"],
        "environment": {**os.environ, "OWN": "value"},
        "folder": str(Path.cwd()),
        "session": True,
        "files": 3,
        "threads": 1,
        "handled": [True, True],
        "name": "__main__",
        "loaded": True,
    }
    assert "said" in lines
    assert last == "at the end"


async def test_it_can_be_killed_while_others_run(preloaded: Preloaded, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAIT]
    async with Program(command, tmp_path / "first") as first, Program(command, tmp_path / "second") as second:
        for program in (first, second):
            await program.line("waits")
        first.send(signal.SIGKILL)
        assert await first.wait() == -signal.SIGKILL
        assert second.exit_code is None
    assert second.exit_code == -signal.SIGTERM


async def test_a_bug_shows_with_its_traceback(preloaded: Preloaded, tmp_path: Path) -> None:
    async with Program([sys.executable, "-c", "raise ValueError('a bug')"], tmp_path / "log") as program:
        assert await program.wait() == 1
    assert program.text().startswith("Traceback")
    assert program.text().endswith("ValueError: a bug\n")

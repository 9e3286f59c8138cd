"""Programs of ours as processes: started, listened to, stopped or killed by their process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, Self

import anyio

from sandbox.lifeline import ends_with_parent

POLL_S = 0.02
TAIL_BYTES = 4_000

# A program that has lost its parent stops as if it were asked to. SIGINT interrupts it even where a background shell
# has it ignored.
_LAUNCHER = ends_with_parent(
    """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
""",
    orphaned="""
import signal
os.kill(os.getpid(), signal.SIGTERM)
""",
)


class ProgramError(Exception):
    """A program did not start; the message carries the end of what it printed."""


class Process(Protocol):
    """What a program needs of a process."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, None while it runs; minus the signal's number when it was killed."""

    def send_signal(self, number: int) -> None:
        """If it still runs."""


def spawn(arguments: Sequence[str], stdin: IO[bytes], output: IO[bytes], environment: Mapping[str, str]) -> Process:
    """A process in a session of its own: Ctrl-C at the terminal is for the parent, which then ends this one."""
    return subprocess.Popen(  # noqa: S603 -- programs of this project
        arguments, stdin=stdin, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )


class Program:
    """One program with its output in a file. Leaving it ends it: SIGTERM, then SIGKILL after `stop_deadline_s`."""

    def __init__(
        self, arguments: list[str], log: Path, environment: dict[str, str] | None = None, *, stop_deadline_s: float = 10
    ) -> None:
        self.log = log
        self._arguments = arguments
        self._environment = environment or {}
        self._stop_deadline_s = stop_deadline_s
        self._process: Process | None = None
        self._lifeline: int | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None  # noqa: S101
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when it was killed."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Starts it; its log is appended to."""
        self._drop_lifeline()
        watched, self._lifeline = os.pipe()
        with self.log.open("ab") as output, os.fdopen(watched, "rb") as stdin:
            self._process = spawn(self._arguments, stdin, output, {**os.environ, **self._environment})

    async def line(self, containing: str, deadline_s: float = 120, *, since: int = 0) -> str:
        """The first line of its log after byte `since` with that text, waited for.

        Raises ProgramError when it exits first or the deadline passes.
        """
        deadline = time.monotonic() + deadline_s
        while True:
            over = self.exit_code is not None
            for line in self.log.read_bytes()[since:].decode(errors="replace").splitlines(keepends=True):
                if containing in line and line.endswith("\n"):
                    return line.strip()
            if over or time.monotonic() > deadline:
                raise ProgramError(f"{self.log.stem}: no line with {containing!r}: {self.tail()}")
            await anyio.sleep(POLL_S)

    def text(self) -> str:
        """All it has printed."""
        return self.log.read_text(errors="replace")

    def tail(self) -> str:
        """The end of what it printed."""
        return self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip() or "(it printed nothing)"

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    async def wait(self, deadline_s: float = 120) -> int:
        """Its exit code. Raises ProgramError when it does not end in time."""
        deadline = time.monotonic() + deadline_s
        while self.exit_code is None:
            if time.monotonic() > deadline:
                raise ProgramError(f"{self.log.stem} did not end within {deadline_s} s: {self.tail()}")
            await anyio.sleep(POLL_S)
        self._drop_lifeline()
        return self.exit_code or 0

    async def stop(self) -> int:
        """Ends it in an orderly way if possible; returns its exit code."""
        self.send(signal.SIGTERM)
        try:
            return await self.wait(self._stop_deadline_s)
        except ProgramError:
            self.send(signal.SIGKILL)
            return await self.wait()

    def peak_resident_bytes(self) -> int:
        """The most memory it has had resident, 0 once it is gone."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(peak[0]) * 1024 if peak else 0

    def _drop_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.stop()


def cosmos_program(folder: Path, *options: str) -> Program:
    """The local Cosmos server; its endpoint is the first line it prints."""
    return Program(_module("sandbox.cosmos", *options), folder / "cosmos.log")


def servicebus_program(folder: Path, *options: str) -> Program:
    """The local Service Bus broker; the first line it prints is JSON and says where it is."""
    return Program(_module("sandbox.servicebus", *options), folder / "servicebus.log")


def replicator_program(log: Path, *arguments: str, environment: dict[str, str] | None = None) -> Program:
    """The command line of replicator itself."""
    return Program(_module("replicator", *arguments), log, environment, stop_deadline_s=40)


def workload_program(name: str, log: Path, *arguments: str, environment: dict[str, str] | None = None) -> Program:
    """One of the programs of `sandbox.workload.consumers`; it says `running` when it does."""
    return Program(_module(f"sandbox.workload.consumers.{name}", *arguments), log, environment)


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", _LAUNCHER, name, *arguments]

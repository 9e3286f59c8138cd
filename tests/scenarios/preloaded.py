"""Programs of ours that start with everything they import already loaded: forked from one process that has loaded it.

A daemon or a command spends the better part of a second on imports, and the scenarios start hundreds. What is forked is
a process of its own in all else: its session, its arguments, its environment, its files and its exit code.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Self

from sandbox import processes

_spawn = processes.spawn

PACKAGES = ("replicator", "connectors")

LATER = ("anyio._backends._asyncio", "pydantic.v1", "uvicorn.lifespan.off", "uvicorn.protocols.http.h11_impl")
"""What others import at the first use."""

REQUEST_BYTES = 1 << 18

COMMAND = "from scenarios.preloaded import serve; import sys; source = serve(int(sys.argv[1])); exec(source or '')"


class Forked:
    """One that was forked, as `subprocess.Popen` shows it; how it ended is told by the process it was forked from."""

    def __init__(self, pid: int, told: int) -> None:
        self.pid = pid
        self._told = told
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """None while it runs; minus the signal's number when it was killed."""
        if self._exit_code is None:
            try:
                text = os.read(self._told, 16)
            except BlockingIOError:
                return None
            os.close(self._told)
            self._exit_code = int(text)
        return self._exit_code

    def send_signal(self, number: int) -> None:
        """If it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Preloaded:
    """Enter it to have what programs import loaded; leave it to end that process. Programs end with their parent."""

    def __enter__(self) -> Self:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            paths = os.pathsep.join(path for path in sys.path if path)
            self._process = subprocess.Popen(  # noqa: S603 -- constant
                [sys.executable, "-c", COMMAND, str(number)],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()
        self._process.wait()

    def spawn(
        self, arguments: Sequence[str], stdin: IO[bytes], output: IO[bytes], environment: Mapping[str, str]
    ) -> processes.Process:
        """`python -c SOURCE …` is forked; any other program is started as it always is."""
        if list(arguments[:2]) != [sys.executable, "-c"]:
            return _spawn(arguments, stdin, output, environment)
        source, *rest = arguments[2:]
        told, telling = os.pipe()
        os.set_blocking(told, False)
        request = json.dumps([source, rest, dict(environment), str(Path.cwd())]).encode()
        socket.send_fds(self._requests, [request], [stdin.fileno(), output.fileno(), telling])
        os.close(telling)
        return Forked(int(self._requests.recv(16)), told)


@dataclass
class _Forking:
    """The process that programs are forked from. `telling` are the pipes that say how each ended, by process id."""

    requests: socket.socket
    telling: dict[int, int]

    def fork_or_reap(self, woken: int) -> str | None:
        """Returns what the program is, in the process that was forked, or "" where nothing more is asked for."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.requests, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select()}
        if woken in ready:
            os.read(woken, 4096)
            self._reap()
        return self._fork() if self.requests.fileno() in ready else None

    def _reap(self) -> None:
        while self.telling:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            telling = self.telling.pop(pid)
            os.write(telling, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(telling)

    def _fork(self) -> str | None:
        request, files, _, _ = socket.recv_fds(self.requests, REQUEST_BYTES, 3)
        if not request:
            return ""
        stdin, output, telling = files
        if pid := os.fork():
            self.telling[pid] = telling
            os.close(stdin)
            os.close(output)
            self.requests.send(str(pid).encode())
            return None
        for number in (telling, *self.telling.values()):
            os.close(number)
        for number, as_number in ((stdin, 0), (output, 1), (output, 2)):
            os.dup2(number, as_number)
        os.close(stdin)
        os.close(output)
        return _become(*json.loads(request))


def _become(source: str, arguments: list[str], environment: dict[str, str], folder: str) -> str:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    return source


def serve(number: int) -> str | None:
    """Loads everything and forks what is asked for. Returns in each process that was forked, with its program, and in
    the end with none.
    """
    load()
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then end this
    with socket.socket(fileno=number) as requests:
        forking, source = _Forking(requests, {}), None
        while source is None:
            source = forking.fork_or_reap(woken)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.close(woken)
    os.close(waking)
    return source


def load() -> None:
    """Every module of the packages that is no program."""
    gc.disable()
    for package in PACKAGES:
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not found.name.endswith("__main__"):
                import_module(found.name)
    for name in LATER:
        import_module(name)
    gc.enable()
    gc.freeze()

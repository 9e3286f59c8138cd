"""`replicator run --workers N`: several daemons of one host on one state store, kept running until they are stopped."""

import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import structlog
from anyio.abc import Process

from replicator.cli.ending import Exit
from replicator.config.models import MigrationConfig, ReplicasConfig

WORKER = "--worker"

FIRST_PAUSE_S = 1.0

LONGEST_PAUSE_S = 30.0
"""Between the end of a worker and its next start: doubled each time, until one has run for as long as that."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def as_worker(config: MigrationConfig, number: int) -> MigrationConfig:
    """The config of one of several on this host: each answers over HTTP at a port of its own, one after the other."""
    host, _, port = config.http.listen.rpartition(":")
    listen = config.http.listen if port == "0" else f"{host}:{int(port) + number}"
    return config.model_copy(
        update={
            "http": config.http.model_copy(update={"listen": listen}),
            "replicas": config.replicas or ReplicasConfig(),
        }
    )


def end_with_parent() -> None:
    """Stops this process, as SIGTERM does, when whoever started it is gone: standard input is a pipe of theirs."""

    def watch() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def run_workers(path: Path, count: int, options: Sequence[str], *, ends: bool) -> Exit:
    """Until all were stopped, or one has ended with what a restart does not mend. `ends`: the migration does so by
    itself, and then what came of it is the first one's exit code.
    """
    return anyio.run(_Workers(path, count, options, ends=ends).run)


class _Workers:
    def __init__(self, path: Path, count: int, options: Sequence[str], *, ends: bool) -> None:
        self._path = path
        self._count = count
        self._options = options
        self._ends = ends
        self._running: dict[int, Process] = {}
        self._exit: Exit | None = None
        self._stopping = anyio.Event()

    async def run(self) -> Exit:
        with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
            async with anyio.create_task_group() as watching:
                watching.start_soon(self._obey, signals)
                async with anyio.create_task_group() as tasks:
                    for number in range(self._count):
                        tasks.start_soon(self._keep, number)
                watching.cancel_scope.cancel()
        return Exit.OK if self._exit is None else self._exit

    async def _obey(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for _ in signals:
            self._stop()

    def _stop(self) -> None:
        """Each is told every time: the second time it stops at once."""
        self._stopping.set()
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.terminate()

    async def _keep(self, number: int) -> None:
        """Starts one again whenever it has ended in a way that a restart is for."""
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun_at = anyio.current_time()
            code = await self._run(number)
            if self._stopping.is_set():  # the worst of all is told
                self._exit = max(self._exit or Exit.OK, Exit(code) if code in list(Exit) else Exit.NOT_OK)
                return
            if self._is_final(code):
                self._exit = Exit(code)
                self._stop()
                return
            pause_s = FIRST_PAUSE_S if anyio.current_time() - begun_at > LONGEST_PAUSE_S else pause_s
            structlog.get_logger().warning("a worker has ended and is started again", worker=number, exit_code=code)
            with anyio.move_on_after(pause_s):
                await self._stopping.wait()
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _run(self, number: int) -> int:
        command = [sys.executable, "-m", "replicator", "run", str(self._path), WORKER, str(number), *self._options]
        process = await anyio.open_process(command, stdin=-1, stdout=None, stderr=None)
        async with process:
            self._running[number] = process
            try:
                return await process.wait()
            finally:
                del self._running[number]

    def _is_final(self, code: int) -> bool:
        return code in {Exit.OK, Exit.ERROR} or (self._ends and code == Exit.NOT_OK)

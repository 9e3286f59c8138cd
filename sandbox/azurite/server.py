"""The blob service itself: one process on a free port of loopback, gone when it is left."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import anyio
import anyio.to_thread

from sandbox.azurite.installing import installed
from sandbox.azurite.node import Node, find_node
from sandbox.processes import Program

if TYPE_CHECKING:
    from types import TracebackType

LOOPBACK = "127.0.0.1"
EMULATOR_ACCOUNT = "devstoreaccount1"
EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that Microsoft publishes for all its storage emulators; no secret."""

LAUNCHER = Path(__file__).parent / "launch.js"
LISTENING = "successfully listens on "


class Azurite:
    """A blob service with the published emulator account; `async with Azurite() as blobs: ... blobs.endpoint`.

    Without `location` everything is in memory, at most `memory_limit_mb` of blob content (MB), and gone afterwards;
    content of deleted blobs counts until it is collected, up to ten minutes later. With it everything is kept in that
    folder: an orderly end loses nothing, SIGKILL loses acknowledged writes of the last seconds. What it prints goes to
    `log`, and without that to a file that is gone afterwards. `port` 0 takes a free one. Entering it installs Azurite
    if needed and raises InstallError, NodeMissingError or ProgramError.
    """

    account_name = EMULATOR_ACCOUNT
    account_key = EMULATOR_KEY

    def __init__(
        self,
        port: int = 0,
        *,
        location: Path | None = None,
        log: Path | None = None,
        memory_limit_mb: int = 1024,
        start_deadline_s: float = 30,
        stop_deadline_s: float = 10,
    ) -> None:
        self.port = port
        self._persistence = (
            ["--location", str(location)]
            if location
            else ["--inMemoryPersistence", "--extentMemoryLimit", str(memory_limit_mb)]
        )
        self._log = log
        self._start_deadline_s = start_deadline_s
        self._stop_deadline_s = stop_deadline_s
        self._folder: TemporaryDirectory[str] | None = None
        self._program: Program | None = None

    @property
    def endpoint(self) -> str:
        """Address of the account's blob service, without a trailing slash."""
        return f"http://{LOOPBACK}:{self.port}/{self.account_name}"

    @property
    def connection_string(self) -> str:
        """What the SDKs, Azure Functions and other tools take."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account_name};AccountKey={self.account_key};"
            f"BlobEndpoint={self.endpoint};"
        )

    @property
    def program(self) -> Program:
        """The process, to be looked at or killed."""
        assert self._program is not None, "it is not running"  # noqa: S101
        return self._program

    async def start(self) -> None:
        """Returns once it answers on `port`."""
        node = await anyio.to_thread.run_sync(find_node)
        folder = await anyio.to_thread.run_sync(installed, node.npm)
        self._program = self._described(node, folder)
        log = self._program.log
        said_before = log.stat().st_size if log.exists() else 0
        try:
            self._program.start()
            listening = await self._program.line(LISTENING, self._start_deadline_s, since=said_before)
        except BaseException:
            with anyio.CancelScope(shield=True):  # bounded by the stop deadline
                await self.stop()
            raise
        self.port = int(listening.rpartition(":")[2])

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL at the deadline. Harmless if none runs."""
        program, self._program = self._program, None
        if program is not None:
            await program.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):  # bounded by the stop deadline
            await self.stop()

    def _described(self, node: Node, folder: Path) -> Program:
        if self._log is None:
            self._folder = TemporaryDirectory(prefix="sandbox-azurite-")
        fleeting = self._folder.name if self._folder else ""
        return Program(
            [
                *(str(node.program), str(LAUNCHER), str(folder), str(os.getpid()), fleeting),
                *("--blobHost", LOOPBACK, "--blobPort", str(self.port)),
                *("--silent", "--disableTelemetry", "--skipApiVersionCheck"),
                *self._persistence,
            ],
            self._log or Path(fleeting) / "output.log",
            {
                "AZURITE_ACCOUNTS": f"{self.account_name}:{self.account_key}",
                "NODE_COMPILE_CACHE": str(folder / "compiled"),
                "NODE_OPTIONS": "",
            },
            stop_deadline_s=self._stop_deadline_s,
        )

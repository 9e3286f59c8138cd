"""The demo's daemon, seen from outside: a process with a log and an HTTP interface."""

import json
from datetime import datetime
from typing import Self

import anyio
import anyio.to_thread

from replicator.cli.status import fetch
from replicator.cli.views import View
from replicator.errors import ConfigurationError
from replicator.model import CopyStage
from replicator.status import MigrationStatus, PipelineStatus
from sandbox.processes import Program, ProgramError

POLL_S = 0.25

DYING_S = 5.0
"""Who does not answer any more is given so long to be gone, so that its exit code can be told."""


class DemoDaemon:
    """A daemon that was started; `url` is where it answers."""

    def __init__(self, program: Program, url: str) -> None:
        self.url = url
        self._program = program

    @classmethod
    async def answering(cls, program: Program) -> Self:
        """Once it says where it is. Raises ConfigurationError when it does not."""
        try:
            return cls(program, str(json.loads(await program.line('"http interface"'))["url"]))
        except ProgramError as error:
            raise await gone(program, "does not start") from error

    async def status(self) -> MigrationStatus:
        """Raises ConfigurationError when it is gone, which tells why as far as it has said so."""
        try:
            return await anyio.to_thread.run_sync(fetch, self.url)
        except ConfigurationError as error:
            raise await gone(self._program, "does not answer") from error

    async def watch(self, view: View) -> None:
        """Shows its status for ever."""
        while True:
            view.show(await self.status())
            await anyio.sleep(POLL_S)

    async def catch_up(self, pipeline: str, moment: datetime, within_s: float) -> tuple[bool, PipelineStatus | None]:
        """Waits until everything committed before `moment` is through and the copy's traces are gone.

        Whether that came to be in time, and the pipeline's last status, None when there never was one.
        """
        last: PipelineStatus | None = None
        with anyio.move_on_after(within_s):
            while True:
                last = (await self.status()).pipelines.get(pipeline)
                if last is not None and _is_through(last, moment):
                    return True, last
                await anyio.sleep(POLL_S)
        return False, last


def _is_through(pipeline: PipelineStatus, moment: datetime) -> bool:
    through = pipeline.replicated_through
    return through is not None and through > moment and pipeline.copy_stage == CopyStage.SWEPT


async def gone(program: Program, otherwise: str) -> ConfigurationError:
    """That it has ended and with which last error, or what is wrong with it `otherwise`; and where its log is."""
    try:
        problem = f"has ended with code {await program.wait(DYING_S)}"
    except ProgramError:
        problem = otherwise
    said = last_error(program.text())
    return ConfigurationError(
        "demo", f"the daemon {problem}{f' ({said})' if said else ''}", f"Its log is {program.log}"
    )


def last_error(log: str) -> str:
    """The last one in a log of JSON, or in plain text beside it; empty when there is none."""
    for line in reversed(log.splitlines()):
        if line.startswith("replicator: "):
            return line.removeprefix("replicator: ")
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in {"error", "critical"}:
            return str(entry.get("error", entry.get("event")))
    return ""

"""The demo's daemon, seen from outside: a process with a log and an HTTP interface."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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


Waiting = Callable[[], Awaitable[int]]
"""How many messages wait at a source at this moment."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Whether a pipeline caught up and after how many seconds, those that it was given if it did not; and its last
    status, None when there never was one.
    """

    caught_up: bool
    catch_up_s: float
    last: PipelineStatus | None = None


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

    async def catch_up(self, waiting: Mapping[str, Waiting], moment: datetime, within_s: float) -> dict[str, Followed]:
        """Waits until, in each of these pipelines, everything committed before `moment` is through, the copy's traces
        are gone and nothing is waiting at the source any more. How that went, by name.
        """
        started = time.monotonic()
        found = {name: Followed(caught_up=False, catch_up_s=within_s) for name in waiting}
        with anyio.move_on_after(within_s):
            while not all(followed.caught_up for followed in found.values()):
                statuses = (await self.status()).pipelines
                for name, followed in found.items():
                    if not followed.caught_up:
                        caught_up = _is_through(statuses.get(name), moment) and not await waiting[name]()
                        after_s = time.monotonic() - started if caught_up else within_s
                        found[name] = Followed(caught_up, after_s, statuses.get(name))
                await anyio.sleep(POLL_S)
        return found


def _is_through(pipeline: PipelineStatus | None, moment: datetime) -> bool:
    if pipeline is None or pipeline.replicated_through is None:
        return False
    return pipeline.replicated_through > moment and pipeline.copy_stage == CopyStage.SWEPT


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

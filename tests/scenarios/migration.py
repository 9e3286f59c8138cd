"""A migration in a folder of its own, as processes: the daemons that run it and the commands that speak of it.

What every world of scenarios shares, whatever is migrated: the worlds add the clouds.
"""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import yaml
from prometheus_client.parser import text_string_to_metric_families

from replicator.state.disk import MOUNTS, storage
from sandbox.processes import Program, replicator_program

LIMITS = {
    "request_timeout_s": 1,
    "request_lifetime_s": 1.5,
    "lease_s": 3,
    "drain_deadline_s": 10,
    "marker_interval_s": 1,
}
"""Short, so that waiting a lifetime or a lease out takes seconds."""

DEADLINE_S = 200
"""For what must come: it bounds a hang. A machine that has much else to do is only slow, which is no failure."""

UNREHEARSED: dict[str, Any] = {"rehearsal": {"is_rehearsal": True}}
"""Of the cutover: none is demanded."""

UNASKED = {"continuous": False}

Status = Mapping[str, Any]

BUG = 3
"""Exit code of a daemon that was ended by an error nobody expects."""


class Daemon:
    """One daemon process, its HTTP interface, and its whole log."""

    def __init__(self, program: Program, http: aiohttp.ClientSession) -> None:
        self.program = program
        self._http = http
        self.url = ""
        self._log_start = 0

    async def start(self) -> None:
        """Starts it, again if it has ended."""
        self._log_start = self.program.log.stat().st_size if self.program.log.exists() else 0
        self.program.start()
        line = await self.program.line('"http interface"', since=self._log_start)
        self.url = json.loads(line)["url"]

    async def get(self, path: str) -> tuple[int, Any]:
        """Status code and JSON of a GET."""
        async with self._http.get(self.url + path) as answer:
            return answer.status, await answer.json()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels, as Prometheus would scrape them."""
        async with self._http.get(self.url + "/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        """Status code and JSON of a POST."""
        async with self._http.post(self.url + path, json=body) as answer:
            return answer.status, await answer.json()

    async def dead_letters(self) -> dict[str, str]:
        """The reasons of the open ones by key."""
        _, answer = await self.get("/v1/dead-letters")
        return {letter["key"]: letter["reason"] for letter in answer["dead_letters"]}

    async def status(self) -> Status | None:
        """Of the one pipeline; None while there is none to be had."""
        try:
            _, snapshot = await self.get("/v1/status")
        except (aiohttp.ClientError, TimeoutError):
            return None
        pipelines: list[Status] = list(snapshot["pipelines"].values())
        return pipelines[0] if pipelines else None

    async def until(self, what: Callable[[Status], bool], deadline_s: float = DEADLINE_S) -> Status:
        """The first status for which `what` holds."""
        last: Status | None = None
        with anyio.move_on_after(deadline_s):
            while True:
                last = await self.status()
                if last is not None and what(last):
                    return last
                assert self.program.exit_code is None, f"the daemon ended: {self.program.tail()}"
                await anyio.sleep(0.1)  # it is taken once a second, and each costs milliseconds of both processes
        raise AssertionError(f"not reached within {deadline_s} s: {last}\n{self.program.tail()}")

    async def caught_up(self, moment: float, deadline_s: float = DEADLINE_S) -> Status:
        """Once following, swept, and through with everything committed before `moment` (Unix seconds)."""
        return await self.until(lambda s: is_through(s, moment), deadline_s)

    async def kill(self) -> None:
        """SIGKILL, and gone."""
        self.program.send(signal.SIGKILL)
        await self.program.wait()

    def events(self) -> list[dict[str, Any]]:
        """What it has logged since it was last started."""
        lines = self.program.log.read_bytes()[self._log_start :].decode().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def is_through(status: Status, moment: float) -> bool:
    """Whether everything committed before `moment` (Unix seconds) is at the target and the copy's traces are gone."""
    through = status["replicated_through"]
    if through is None or status["copy_stage"] != "swept":
        return False
    return datetime.fromisoformat(through).timestamp() > moment


@dataclass
class Migration:
    """A config in a folder. Daemons and commands are given the environment, in which credentials are."""

    folder: Path
    http: aiohttp.ClientSession
    config: dict[str, Any]
    environment: dict[str, str]

    @property
    def path(self) -> Path:
        """The config file."""
        return self.folder / "migration.yaml"

    def write_config(self, **changes: Any) -> None:
        """Writes the config, with changes to its top level; those of the cutover are added to what it says."""
        cutover = {**self.config.get("cutover", {}), **changes.pop("cutover", {})}
        self.path.write_text(yaml.safe_dump({**self.config, **changes, "cutover": cutover}, sort_keys=False))

    def daemon(self, *options: str, path: Path | None = None) -> Daemon:
        """A daemon on the config, not started."""
        log = self.folder / "daemon.log"
        return Daemon(
            replicator_program(log, "run", str(path or self.path), *options, environment=self.environment), self.http
        )


def config_of(pipelines: Mapping[str, Mapping[str, Any]], limits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A config of these pipelines: short limits, any free port, a log that can be read, no unasked verification."""
    return {
        "migration": "scenario",
        "http": {"listen": "127.0.0.1:0"},
        "log": {"format": "json"},
        "limits": {**LIMITS, **(limits or {})},
        "cutover": dict(UNREHEARSED),
        "pipelines": {name: {"verification": UNASKED, **pipeline} for name, pipeline in pipelines.items()},
    }


@asynccontextmanager
async def http_client() -> AsyncIterator[aiohttp.ClientSession]:
    """For the daemons' HTTP interfaces, which answer at once on any machine that has nothing else to do."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield http


def forget(folder: Path) -> None:
    """Deletes the state store."""
    for leftover in folder.glob("replicator.sqlite*"):
        leftover.unlink()


async def run_command(m: Migration, command: str, *options: str, **environment: str) -> tuple[int, str]:
    """The exit code of a command that is given the config, and what it printed."""
    log = m.folder / f"{command}.log"
    log.unlink(missing_ok=True)
    async with replicator_program(
        log, command, str(m.path), *options, environment={**m.environment, **environment}
    ) as program:
        code, text = await program.wait(DEADLINE_S), program.text()
    return (0 if command == "check" and code == 1 and _only_of_the_folder(m.folder, text) else code), text


def _only_of_the_folder(folder: Path, found: str) -> bool:
    """Whether the one warning is that these tests themselves run where nothing stays."""
    told = MOUNTS.read_text() if MOUNTS.exists() else ""
    return bool(storage(folder / "state", told)) and ("1 warning:" in found or found.count('"warning"') == 1)


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[Daemon]:
    """Started, and stopped at the end however it goes."""
    await daemon.start()
    try:
        yield daemon
    finally:
        with anyio.CancelScope(shield=True):
            await daemon.program.stop()
    assert daemon.program.exit_code != BUG, daemon.program.tail()

"""A real Prometheus beside a scenario: it scrapes daemons and is asked what it knows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import yaml

from sandbox.processes import Program
from tools import tool

INTERVAL = "250ms"
"""Of scrapes and evaluations: a scenario takes seconds."""

DEADLINE_S = 60
"""For what must come: it bounds a hang."""


@dataclass(frozen=True)
class Series:
    """A series that a query has found, at its last moment."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """One Prometheus process, asked over its HTTP interface. `targets` is the file that it takes addresses from."""

    def __init__(self, program: Program, http: aiohttp.ClientSession, targets: Path) -> None:
        self._program = program
        self._http = http
        self._targets = targets
        self._url = ""

    async def start(self) -> None:
        """Starts it, and returns when it listens."""
        self._program.start()
        line = await self._program.line('"Listening on"')
        self._url = "http://" + line.rpartition("address=")[2]

    def scrape(self, *urls: str) -> None:
        """These daemons from now on, by the names a, b and so on, whatever address they have."""
        found = [
            {"targets": [url.removeprefix("http://")], "labels": {"instance": chr(ord("a") + n), "migration": "shop"}}
            for n, url in enumerate(urls)
        ]
        written = self._targets.with_suffix(".new")
        written.write_text(json.dumps(found))
        written.rename(self._targets)

    async def query(self, expression: str) -> list[Series]:
        """What it evaluates to now. Raises AssertionError with the reason where it cannot be."""
        async with self._http.post(self._url + "/api/v1/query", data={"query": expression}) as answer:
            told = await answer.json()
        assert told["status"] == "success", f"{expression}: {told}"
        kind, result = told["data"]["resultType"], told["data"]["result"]
        if kind == "scalar":
            return [Series({}, float(result[1]))]
        return [Series(one["metric"], float(one["value"][1])) for one in result]

    async def firing(self) -> set[str]:
        """The names of alerts that fire."""
        found = await self.query('ALERTS{alertstate="firing"}')
        return {series.labels["alertname"] for series in found}

    async def holds(self, condition: str) -> None:
        """Returns when this query finds something."""
        found: list[Series] = []
        with anyio.move_on_after(DEADLINE_S):
            while not found:
                found = await self.query(condition)
                await anyio.sleep(0.1)
        assert found, f"within {DEADLINE_S} s: {condition}"

    async def until(self, what: Callable[[set[str]], bool]) -> set[str]:
        """The alerts that fire, once `what` holds of them."""
        seen: set[str] = set()
        with anyio.move_on_after(DEADLINE_S):
            while True:
                seen = await self.firing()
                if what(seen):
                    return seen
                await anyio.sleep(0.1)
        raise AssertionError(f"within {DEADLINE_S} s: {sorted(seen)} fire\n{self._program.tail()}")


@asynccontextmanager
async def prometheus(
    folder: Path, http: aiohttp.ClientSession, rules: Iterable[Mapping[str, Any]] = ()
) -> AsyncIterator[Prometheus]:
    """One with these groups of rules. Skips the test where the program is not installed."""
    program = tool("prometheus")
    targets = folder / "targets.json"
    targets.write_text("[]")
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": list(rules)}))
    config = {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "replicator", "file_sd_configs": [{"files": [targets.name]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    arguments = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'series'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    running = Prometheus(Program(arguments, folder / "prometheus.log"), http, targets)
    await running.start()
    try:
        yield running
    finally:
        with anyio.CancelScope(shield=True):
            await running._program.stop()

"""The world of a scenario: both local clouds, fault proxies before each, daemons as processes, and an observer.

The observer is told of every document the moment it is committed at the target, so it sees whatever any application
could ever see there, and judges it by the `version` that the workload counts up for ever on each key.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import yaml
from prometheus_client.parser import text_string_to_metric_families

from connectors import registry
from replicator.cli.looking import look_at
from replicator.config.loading import load_config
from replicator.engine.comparing import Comparing, Comparison
from replicator.engine.daemon import connect
from sandbox.aws import AwsServer
from sandbox.cosmos import CosmosServer, Settings
from sandbox.cosmos.feeds import Change
from sandbox.faults import EditBody, FaultProxy, Rule
from sandbox.processes import Program, replicator_program
from sandbox.workload import create_orders_table

DATABASE, CONTAINER = "shop", "orders"

LIMITS = {
    "request_timeout_s": 1,
    "request_lifetime_s": 1.5,
    "lease_s": 3,
    "drain_deadline_s": 10,
    "marker_interval_s": 1,
}
"""Short, so that waiting a lifetime or a lease out takes seconds."""

SOURCE = {"max_read_units": 20_000, "idle_margin_s": 0.5, "poll_interval_s": 0.1, "segments": 2}

Status = Mapping[str, Any]


@dataclass
class Observer:
    """Watches the target from the moment `begin` is called; `violations` names what went backwards."""

    violations: list[str] = field(default_factory=list)
    seen: int = 0
    _watching: bool = False
    _highest: dict[tuple[str, str], int] = field(default_factory=dict)

    def __call__(self, change: Change) -> None:
        where = (change.home.key.text, change.id)
        version = self._version(change)
        if version is None:
            return
        if self._watching:
            self.seen += 1
            if version < self._highest.get(where, 0):
                self.violations.append(f"{where}: version {version} after {self._highest[where]}")
            if change.operation == "create" and version <= self._highest.get(where, 0):
                self.violations.append(f"{where}: deleted version {version} came back")
        self._highest[where] = max(version, self._highest.get(where, 0))

    def begin(self) -> None:
        """From here on nothing may go backwards."""
        self._watching = True

    def _version(self, change: Change) -> int | None:
        body = json.loads(change.current) if change.current else {}
        return None if body.get("_replicator", {}).get("deleted") else body.get("version")


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

    async def status(self) -> Status | None:
        """Of the one pipeline; None while there is none to be had."""
        try:
            _, snapshot = await self.get("/v1/status")
        except (aiohttp.ClientError, TimeoutError):
            return None
        pipelines: list[Status] = list(snapshot["pipelines"].values())
        return pipelines[0] if pipelines else None

    async def until(self, what: Callable[[Status], bool], deadline_s: float = 60) -> Status:
        """The first status for which `what` holds."""
        last: Status | None = None
        with anyio.move_on_after(deadline_s):
            while True:
                last = await self.status()
                if last is not None and what(last):
                    return last
                assert self.program.exit_code is None, f"the daemon ended: {self.program.tail()}"
                await anyio.sleep(0.05)
        raise AssertionError(f"not reached within {deadline_s} s: {last}\n{self.program.tail()}")

    async def caught_up(self, moment: float, deadline_s: float = 60) -> Status:
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
class World:
    """What a scenario works with. Clients and daemons go through the proxies; `dynamodb` and `truth` do not."""

    aws: AwsServer
    cosmos: CosmosServer
    dynamodb: Any
    table: str
    source_proxy: FaultProxy
    target_proxy: FaultProxy
    folder: Path
    http: aiohttp.ClientSession
    observer: Observer
    config: dict[str, Any]

    @property
    def path(self) -> Path:
        """The config file."""
        return self.folder / "migration.yaml"

    def write_config(self, **changes: Any) -> None:
        """Writes the config, with changes to its top level."""
        self.path.write_text(yaml.safe_dump({**self.config, **changes}))

    def daemon(self, *options: str, path: Path | None = None) -> Daemon:
        """A daemon on the config, not started."""
        log = self.folder / "daemon.log"
        return Daemon(
            replicator_program(log, "run", str(path or self.path), *options, environment=self.environment), self.http
        )

    @property
    def environment(self) -> dict[str, str]:
        """Credentials for the daemon."""
        return {**self.aws.environment, "COSMOS_KEY": self.cosmos.key}

    def watch(self) -> None:
        """Lets the observer see the container, which must exist."""
        container = self.cosmos.account.container(DATABASE, CONTAINER)
        if self.observer not in container.watchers:
            container.watchers.append(self.observer)

    def shrink_pages(self, records: int, *, probability: float = 1.0) -> Rule:
        """Pages of the stream hold fewer records: a replay does not end where a page did, nor does one fold it all."""
        edit = EditBody(pattern=re.compile(r'"Limit": *\d+'), replacement=f'"Limit": {records}')
        return self.source_proxy.inject(edit, headers={"X-Amz-Target": "GetRecords"}, probability=probability)

    def documents(self) -> list[dict[str, Any]]:
        """What the target holds, system members included."""
        return [json.loads(item.body) for item in self.cosmos.account.container(DATABASE, CONTAINER).items()]

    async def compare(self) -> Comparison:
        """Both sides, every record both ways, past the proxies."""
        os.environ.update(self.environment)
        config = load_config(self.path, registry())
        pipeline = config.pipelines["orders"]
        source = pipeline.source.model_copy(update={"endpoint": self.aws.endpoint})
        target = pipeline.target.model_copy(update={"endpoint": self.cosmos.endpoint})
        direct = pipeline.model_copy(update={"source": source, "target": target})
        async with look_at("orders", direct, config) as opened:
            await connect(opened)
            return await Comparing(opened.source, opened.target, lambda _: None).run()

    async def assert_equal(self) -> Comparison:
        """Source equals target, no tombstone left, nothing ever seen going backwards."""
        found = await self.compare()
        assert found.is_equal, found
        assert not [d for d in self.documents() if d["_replicator"].get("held")], "tombstones or held expiries are left"
        assert not self.observer.violations, self.observer.violations[:5]
        return found


@asynccontextmanager
async def world(
    aws: AwsServer,
    folder: Path,
    *,
    settings: Settings | None = None,
    limits: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    target: Mapping[str, Any] | None = None,
    ttl_attribute: str | None = None,
) -> AsyncIterator[World]:
    """A fresh table and a fresh Cosmos account, each behind a proxy, and a config that leads through both."""
    table = f"orders-{os.urandom(4).hex()}"
    async with AsyncExitStack() as stack:
        cosmos = await stack.enter_async_context(CosmosServer(settings=settings))
        source_proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", aws.port))
        cosmos_port = int(cosmos.endpoint.rstrip("/").rsplit(":", 1)[1])
        target_proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", cosmos_port, rewrite_authority=True))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)))
        dynamodb = await stack.enter_async_context(aws.client("dynamodb", max_pool_connections=50))
        await create_orders_table(dynamodb, table, ttl_attribute=ttl_attribute)
        config = {
            "migration": "scenario",
            "http": {"listen": "127.0.0.1:0"},
            "log": {"format": "json"},
            "limits": {**LIMITS, **(limits or {})},
            "pipelines": {
                "orders": {
                    "discover_interval_s": 1,
                    "source": {
                        "type": "dynamodb",
                        "table": table,
                        "endpoint": source_proxy.endpoint,
                        **SOURCE,
                        **(source or {}),
                    },
                    "target": {
                        "type": "cosmos",
                        "endpoint": target_proxy.endpoint,
                        "key": "${COSMOS_KEY}",
                        "database": DATABASE,
                        "container": CONTAINER,
                        "partition_key": ["/customer"],
                        "create": True,
                        **(target or {}),
                    },
                }
            },
        }
        made = World(aws, cosmos, dynamodb, table, source_proxy, target_proxy, folder, http, Observer(), config)
        made.write_config()
        yield made


def forget(folder: Path) -> None:
    """Deletes the state store."""
    for leftover in folder.glob("replicator.sqlite*"):
        leftover.unlink()


async def run_command(w: World, command: str, *options: str, **environment: str) -> tuple[int, str]:
    """The exit code of a command that is given the config, and what it printed."""
    log = w.folder / f"{command}.log"
    log.unlink(missing_ok=True)
    async with replicator_program(
        log, command, str(w.path), *options, environment={**w.environment, **environment}
    ) as program:
        return await program.wait(60), program.text()


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[Daemon]:
    """Started, and stopped at the end however it goes."""
    await daemon.start()
    try:
        yield daemon
    finally:
        with anyio.CancelScope(shield=True):
            await daemon.program.stop()

"""The world of a table: both local clouds, fault proxies before each, daemons as processes, and an observer.

The observer is told of every document the moment it is committed at the target, so it sees whatever any application
could ever see there, and judges it by the `version` that the workload counts up for ever on each key.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import CosmosClient

from connectors import registry
from replicator.cli.looking import look_at
from replicator.config.loading import load_config
from replicator.engine.comparing import Comparing, Comparison
from replicator.engine.opening import connect
from sandbox.aws import AwsServer
from sandbox.cosmos import CosmosServer, Settings
from sandbox.cosmos.feeds import Change
from sandbox.faults import EditBody, FaultProxy, Rule
from sandbox.workload import create_orders_table
from scenarios.migration import Migration, config_of, http_client

DATABASE, CONTAINER = "shop", "orders"

SOURCE = {"max_read_units": 20_000, "idle_margin_s": 0.5, "poll_interval_s": 0.2, "segments": 2}


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


@dataclass
class World(Migration):
    """What a scenario works with. Clients and daemons go through the proxies; `dynamodb` and `truth` do not."""

    aws: AwsServer
    cosmos: CosmosServer
    dynamodb: Any
    table: str
    source_proxy: FaultProxy
    target_proxy: FaultProxy
    observer: Observer

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

    @asynccontextmanager
    async def stranger(self) -> AsyncIterator[CosmosClient]:
        """Somebody else at the target."""
        transport = AioHttpTransport(use_env_settings=False)
        async with CosmosClient(
            self.cosmos.endpoint, self.cosmos.key, transport=transport, enable_endpoint_discovery=False
        ) as client:
            yield client

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
        http = await stack.enter_async_context(http_client())
        dynamodb = await stack.enter_async_context(aws.client("dynamodb", max_pool_connections=50))
        await create_orders_table(dynamodb, table, ttl_attribute=ttl_attribute)
        pipeline = {
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
        config = config_of({"orders": pipeline}, limits)
        environment = {**aws.environment, "COSMOS_KEY": cosmos.key}
        made = World(
            folder, http, config, environment, aws, cosmos, dynamodb, table, source_proxy, target_proxy, Observer()
        )
        made.write_config()
        yield made

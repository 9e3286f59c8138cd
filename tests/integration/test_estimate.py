"""Promise: an estimate reads the real services, and its probe leaves neither a trace nor a ripple."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors import registry
from replicator.cli import estimate as command
from replicator.config.loading import load_config
from replicator.estimate import probing
from replicator.estimate.arithmetic import StepName
from replicator.estimate.figures import Origin
from replicator.estimate.surveying import Given
from sandbox.aws import AwsServer
from sandbox.cosmos import CosmosServer
from sandbox.cosmos.wire import JsonObject
from sandbox.workload import create_orders_table, seed

ITEMS = 150
BURST = 30_000.0

CONFIG = """
migration: shop
state: {{path: state.sqlite}}
pipelines:
  orders:
    source: {{type: dynamodb, table: {table}, endpoint: {aws}, region: {region}, max_read_units: 1000}}
    target:
      type: cosmos
      endpoint: {cosmos}
      key: {key}
      database: shop
      container: orders
      partition_key: [/customer]
      create: true
"""


def make(server: CosmosServer) -> list[object]:
    """Both containers; what is written to that of the application."""
    server.account.create_database({"id": "shop"})
    for name, path in (("orders", "/customer"), ("replicator", "/id")):
        key: JsonObject = {"paths": [path], "kind": "Hash", "version": 2}
        server.account.create_container("shop", {"id": name, "defaultTtl": -1, "partitionKey": key})
    seen: list[object] = []
    server.account.container("shop", "orders").watchers.append(seen.append)
    return seen


@pytest.fixture
async def table(aws: AwsServer, aws_client: Callable[..., AbstractAsyncContextManager[Any]]) -> str:
    """A table that CloudWatch has seen written to."""
    name = f"orders-{datetime.now(UTC).timestamp():.6f}"
    async with aws_client("dynamodb") as dynamodb, aws_client("cloudwatch") as cloudwatch:
        await create_orders_table(dynamodb, name)
        await seed(dynamodb, name, ITEMS)
        reading = {
            "MetricName": "ConsumedWriteCapacityUnits",
            "Dimensions": [{"Name": "TableName", "Value": name}],
            "Timestamp": datetime.now(UTC) - timedelta(hours=1),
            "Value": BURST,
        }
        await cloudwatch.put_metric_data(Namespace="AWS/DynamoDB", MetricData=[reading])
    return name


async def test_a_table_is_estimated_without_a_trace(
    aws: AwsServer, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(probing, "ALONE_S", 0.2)
    monkeypatch.setattr(probing, "TOGETHER_S", 0.4)
    async with CosmosServer() as server:
        server.set_budget(100_000.0)
        seen = make(server)
        fields = {"table": table, "aws": aws.endpoint, "region": aws.region, "cosmos": server.endpoint}
        path = tmp_path / "migration.yaml"
        path.write_text(CONFIG.format(**fields, key=json.dumps(server.key)))
        config = load_config(path, registry())
        assumed = (await command._estimate(config, {"orders": Given()}, probe=False)).pipelines[0]
        assert "upsert" not in str(server.stats()["operations"]), "nothing is written unless it is asked for"
        measured = (await command._estimate(config, {"orders": Given()}, probe=True)).pipelines[0]
        assert server.stats()["operations"]["item.upsert"]["201"] > 3
        assert set(server.stats()["items"].values()) == {0}
        assert not seen, "a trigger of the application would have noticed"
    assert os.listdir(tmp_path) == ["migration.yaml"]  # noqa: PTH208 — no wait worth a thread
    assert "probe writes made-up documents to container replicator" in capsys.readouterr().err
    assert assumed.records == measured.records == ITEMS
    assert assumed.changes is not None
    assert assumed.changes.mean_per_s == pytest.approx(BURST / 86400)
    assert assumed.changes.peak_per_s == pytest.approx(BURST / 300)
    assert assumed.steps[0].origin is Origin.ASSUMED
    copy = {step.name: step for step in measured.steps}[StepName.COPY]
    assert copy.needs is not None
    assert copy.needs["cosmos.request_unit"] / ITEMS % 5 == pytest.approx(0), "5 for each started KB, of every write"
    assert copy.origin is Origin.CONFIGURED, "the read units are the config's"

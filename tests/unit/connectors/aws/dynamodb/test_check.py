"""Findings: each permission is tried, other readers are counted, nothing waits for ever."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from connectors.aws.dynamodb import check
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.source import DynamoDbSource
from fakes.follower import telemetry
from fakes.streams import STREAM_ARN, TABLE_NAME, Answer, ServiceClient, StreamedTable, StreamsClient, client_error
from fakes.tables import TableClient
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.registry import SourceContext


class LambdaClient(ServiceClient):
    """Knows the triggers of the stream."""

    states: tuple[str, ...] = ()

    async def list_event_source_mappings(self, **parameters: Any) -> Answer:
        assert parameters["EventSourceArn"] == STREAM_ARN
        mappings = [{"State": state} for state in self.states]
        return await self._answer("list_event_source_mappings", lambda _: {"EventSourceMappings": mappings}, parameters)


class Bench:
    """A source, whose `lambda` client is ours as well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.table = StreamedTable(random.Random(0))
        self.table.put("n0")
        self.denied = ""
        self.clients = TableClient(self.table), StreamsClient(self.table), LambdaClient(self.table)
        self.description, self.functions = self.clients[0].description, self.clients[2]

        @asynccontextmanager
        async def opened(service: str, *_: object) -> AsyncIterator[LambdaClient]:
            assert service == "lambda"
            yield self.functions

        monkeypatch.setattr(check, "open_client", opened)

    def deny(self, operation: str) -> None:
        """From when it has connected, which needs some of them itself."""
        self.denied = operation

    def _deny(self, operation: str) -> None:
        denied = client_error(operation, "AccessDeniedException", "not authorized")
        for client in self.clients:
            client.fault = lambda called: denied if called == operation else None

    def findings(self) -> list[Finding]:
        found: list[Finding] = []

        @in_virtual_time
        async def run() -> None:
            source = await self.connected()
            with anyio.fail_after(30):
                found.extend(await source.check())

        run()
        return found

    async def connected(self) -> DynamoDbSource:
        config = DynamoDbSourceConfig(type="dynamodb", table=TABLE_NAME)
        source = DynamoDbSource(config, SourceContext("source", telemetry()), self.clients[0], self.clients[1])
        await source.connect()
        if self.denied:
            self._deny(self.denied)
        return source


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def worst(findings: list[Finding]) -> list[str]:
    """What is not fine."""
    return [f"{f.severity.value}: {f.message} / {f.fix}" for f in findings if f.severity is not Severity.OK]


def test_a_table_that_is_fine(bench: Bench) -> None:
    bench.functions.states = ("Enabled", "Disabled", "Disabling")
    findings = bench.findings()
    assert worst(findings) == []
    assert [f.message for f in findings][-1] == "1 Lambda trigger reads the stream, which serves 2 readers"


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize(
    "operation", ["scan", "batch_get_item", "describe_stream", "get_shard_iterator", "get_records"]
)
def test_what_is_forbidden_is_found(bench: Bench, operation: str, rows: int) -> None:
    """Be the table empty or not: what is said to be permitted was tried."""
    if not rows:
        bench.table.rows.clear()
    bench.deny(operation)
    (finding,) = worst(bench.findings())
    assert finding.startswith("error: ")
    assert f"{operation}: AccessDeniedException: not authorized" in finding
    assert finding.endswith("docs/connectors/dynamodb-to-cosmos.md for the policy")


def test_the_permission_to_look_at_lambda_is_optional(bench: Bench) -> None:
    bench.deny("list_event_source_mappings")
    (finding,) = worst(bench.findings())
    assert finding.startswith("note: other readers of the stream cannot be counted")
    assert "at most one other reads it" in finding


@pytest.mark.parametrize(
    ("replicas", "states", "message"),
    [
        (0, ("Enabled", "Enabling"), "2 Lambda triggers read the stream already, and a shard serves 2 readers"),
        (1, ("Enabled",), "1 Lambda trigger reads the stream already, and a shard serves 1 reader"),
    ],
)
def test_too_many_readers(bench: Bench, replicas: int, states: tuple[str, ...], message: str) -> None:
    bench.description["Replicas"] = [{"RegionName": "eu-central-1"}] * replicas
    bench.functions.states = states
    (finding,) = worst(bench.findings())
    assert finding.startswith(f"error: {message}")


def test_an_empty_table_and_an_expiry_are_fine(bench: Bench) -> None:
    bench.table.rows.clear()
    bench.clients[0].expiry = {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    findings = bench.findings()
    assert worst(findings) == []
    assert "items expire by attribute expires" in [f.message for f in findings]


@pytest.mark.parametrize(("kind", "value"), [("S", str), ("N", str), ("B", bytes)])
def test_in_an_empty_table_a_key_of_its_own_shape_is_looked_up(bench: Bench, kind: str, value: type) -> None:
    """Or the service would refuse the key instead of telling whether it may be read."""
    bench.table.rows.clear()
    bench.description["KeySchema"] = [
        {"AttributeName": "sort", "KeyType": "RANGE"},
        {"AttributeName": "hash", "KeyType": "HASH"},
    ]
    bench.description["AttributeDefinitions"] = [
        {"AttributeName": "other", "AttributeType": "S"},
        {"AttributeName": "sort", "AttributeType": kind},
        {"AttributeName": "hash", "AttributeType": "S"},
    ]
    asked: list[Answer] = []

    async def batch_get_item(**parameters: Any) -> Answer:
        asked.append(parameters)
        return {"Responses": {TABLE_NAME: []}, "UnprocessedKeys": {}}

    bench.clients[0].batch_get_item = batch_get_item  # type: ignore[method-assign]
    assert worst(bench.findings()) == []
    ((key,),) = [parameters["RequestItems"][TABLE_NAME]["Keys"] for parameters in asked]
    assert set(key) == {"hash", "sort"}
    assert list(key["hash"]) == ["S"]
    assert list(key["sort"]) == [kind]
    assert isinstance(key["sort"][kind], value)
    assert key["sort"][kind]


def test_what_looking_takes_from_the_table_is_charged_to_the_read_budget(bench: Bench) -> None:
    """It may be production's table, and its owner has said how much it can spare."""
    bench.clients[0].page_units = 40.0
    bench.description["ProvisionedThroughput"] = {"ReadCapacityUnits": 40}  # of which a quarter may be taken

    @in_virtual_time
    async def run() -> None:
        source = await bench.connected()
        begun = elapsed_s()
        await source.check()
        assert elapsed_s() - begun == pytest.approx(3, abs=1.5), "a scan, then a lookup on credit"
        await source.sample(100)
        assert elapsed_s() - begun == pytest.approx(7, abs=1.5)
        await source.sample(100)
        assert elapsed_s() - begun == pytest.approx(11, abs=1.5)

    run()


@pytest.mark.parametrize("ask", [lambda s: s.sample(3)], ids=["sample"])
def test_a_sample_that_is_forbidden_does_not_wait_for_ever(bench: Bench, ask: Callable[[DynamoDbSource], Any]) -> None:
    @in_virtual_time
    async def run() -> None:
        bench.deny("scan")
        source = await bench.connected()
        with anyio.fail_after(30), pytest.raises(ConfigurationError, match="AccessDenied"):
            await ask(source)

    run()

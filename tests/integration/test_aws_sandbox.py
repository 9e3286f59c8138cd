"""The local AWS starts, stays private, ends with its parent; the workload it carries is what it says."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import psutil
import pytest

from sandbox import aws as aws_module
from sandbox.aws import AwsServer, AwsServerError
from sandbox.faults import Answer, CutAfter, CutBefore, Duplicate, FaultProxy, HoldDelivery
from sandbox.workload import Writer, awkward_items, create_orders_table, seed, seed_items

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    Clients = Callable[..., AbstractAsyncContextManager[Any]]

ITS_OWN = pytest.mark.embedded("aws", "how its process starts and ends")
LOOPBACK = "127.0.0.1"
STARTER = """
import sys, time
from sandbox.aws import AwsServer
with AwsServer() as server:
    print(server.pid, flush=True)
    time.sleep(60)
"""
THROTTLE = b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow"}'


@ITS_OWN
async def test_it_listens_on_loopback_only_and_knows_nothing_of_the_parents_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "parent")
    monkeypatch.setenv("AWS_PROFILE", "parent")
    async with AwsServer() as server:
        process = psutil.Process(server.pid)
        assert not [name for name in process.environ() if name.startswith("AWS_")]
        listening = [c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
        assert listening == [(LOOPBACK, server.port)]
        assert server.endpoint == f"http://{LOOPBACK}:{server.port}"
    assert not process.is_running()
    assert server.pid is None


@ITS_OWN
async def test_it_can_be_stopped_and_started_again_on_its_port() -> None:
    server = AwsServer()
    async with server:
        port = server.port
        with pytest.raises(AwsServerError, match="already running"):
            server.start()
    async with server:
        assert server.port == port


@ITS_OWN
def test_a_port_in_use_is_refused() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AwsServerError, match=f"port {port} .* not free"):
            AwsServer(port).start()


@ITS_OWN
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit('no licence')", "exited with 1: no licence"),
        ("import os; print('thinking', flush=True); os.read(0, 1)", "did not answer .*: thinking"),
    ],
)
async def test_a_server_that_does_not_come_up_is_quoted(
    monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setattr(aws_module, "_LAUNCHER", program)
    server = AwsServer(start_deadline_s=2)
    with pytest.raises(AwsServerError, match=said):
        await anyio.to_thread.run_sync(server.start)
    assert server.pid is None


@ITS_OWN
def test_a_server_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
    monkeypatch.setattr(aws_module, "_LAUNCHER", deaf + aws_module._LAUNCHER)
    server = AwsServer(stop_deadline_s=0.1)
    server.start()
    process = server._process
    server.stop()
    assert process is not None
    assert process.returncode == -signal.SIGKILL


@ITS_OWN
def test_it_does_not_outlive_a_parent_that_was_killed() -> None:
    command = [sys.executable, "-c", STARTER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 -- constant
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        folder = server.cwd()
        os.kill(parent.pid, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        server.wait(10)
    assert not Path(folder).exists()  # its scratch files are gone as well


async def test_reset_empties_it(aws_client: Clients, aws: AwsServer) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "to-be-reset", ttl_attribute="expires_at")
        ttl = await client.describe_time_to_live(TableName="to-be-reset")
        assert ttl["TimeToLiveDescription"]["AttributeName"] == "expires_at"
        await aws.reset()
        assert (await client.list_tables())["TableNames"] == []


def canonical(value: dict[str, Any]) -> object:
    """A value as DynamoDB understands it: numbers by worth, sets without order."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return kind, Decimal(content)
        case "NS":
            return kind, {Decimal(number) for number in content}
        case "SS" | "BS":
            return kind, set(content)
        case "L":
            return kind, [canonical(inner) for inner in content]
        case "M":
            return kind, {name: canonical(inner) for name, inner in content.items()}
    return kind, content


async def contents(client: Any, table: str) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    async for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            found[item["customer"]["S"], item["order_id"]["S"]] = item
    return found


async def test_the_seed_arrives_whole(aws_client: Clients) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "seeded")
        reported: list[int] = []
        count = len(list(awkward_items())) + 200
        assert await seed(client, "seeded", count, progress=reported.append) == count
        assert reported == sorted(reported)
        assert reported[-1] == count
        stored = await contents(client, "seeded")
        for item in seed_items(count):
            found = stored.pop((item["customer"]["S"], item["order_id"]["S"]))
            assert canonical({"M": found}) == canonical({"M": item})
        assert stored == {}


async def test_seeding_survives_a_bad_network(aws_client: Clients, aws: AwsServer) -> None:
    async with FaultProxy(LOOPBACK, aws.port) as proxy, aws_client("dynamodb", proxy.endpoint) as client:
        await create_orders_table(client, "seeded-badly")
        proxy.inject(CutAfter(), skip=1, count=1)
        proxy.inject(Answer(status=400, body=THROTTLE), skip=2, count=1)
        await seed(client, "seeded-badly", 200)
        assert len(await contents(client, "seeded-badly")) == 200
        assert proxy.counters.struck == {"cut_after": 1, "answer": 1}


async def test_writers_know_what_the_table_holds_after_every_kind_of_fault(aws_client: Clients, aws: AwsServer) -> None:
    async with (
        FaultProxy(LOOPBACK, aws.port, seed=3) as proxy,
        aws_client("dynamodb", proxy.endpoint) as client,
    ):
        await create_orders_table(client, "busy")
        for action in (CutBefore(), CutAfter(), Duplicate(), Answer(status=400, body=THROTTLE)):
            proxy.inject(action, probability=0.02)
        proxy.inject(HoldDelivery(seconds=0.05), probability=0.05, headers={"X-Amz-Target": "PutItem|UpdateItem"})
        writers = [Writer(client, "busy", space=f"w{n}", keys=30, rate_per_s=1_000, seed=7) for n in range(3)]
        async with anyio.create_task_group() as tasks:
            for writer in writers:
                tasks.start_soon(lambda w: w.run(operations=150), writer)
        proxy.lift_all()
        await proxy.settled()
        truth: dict[tuple[str, str], int | None] = {}
        for writer in writers:
            await writer.confirm()
            truth |= writer.truth()
        stored = {key: int(item["version"]["N"]) for key, item in (await contents(client, "busy")).items()}
        assert stored == {key: version for key, version in truth.items() if version is not None}
        assert sum(writer.counts.ambiguous for writer in writers) > 10
        assert len(truth) > 60


async def test_a_writer_keeps_its_rate(aws_client: Clients) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "paced")
        writer = Writer(client, "paced", space="p", rate_per_s=100)
        started = time.monotonic()
        await writer.run(for_s=0.3)
        assert 0.25 <= time.monotonic() - started < 5
        assert 29 <= writer.counts.operations <= 31, "the last one may fall on the end"

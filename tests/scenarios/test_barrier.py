"""The client hook end to end: no write returns before the target has it, or a later one, and nothing older follows.

Real clients of both kinds, a daemon as a process, both local clouds, and proxies that break what passes to the target.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from botocore.session import Session

from replicator.client import NotReplicatedError, UnknownTablesError, install
from sandbox.aws import AwsServer
from sandbox.cosmos.feeds import Change
from sandbox.faults import Answer, CutAfter, CutBefore, HoldDelivery
from scenarios.migration import running
from scenarios.world import CONTAINER, DATABASE, World, world

DOCUMENTS = "/docs"


@dataclass
class Shown:
    """Every state that the target has shown, by key; None where there was no document."""

    states: dict[str, list[int | None]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def __call__(self, change: Change) -> None:
        """Told by the container of each change the moment it is committed."""
        body = json.loads(change.current) if change.current else {}
        gone = not body or body.get("_replicator", {}).get("deleted")
        name = self._names.setdefault(change.id, body.get("order_id", change.id))
        self.states.setdefault(name, []).append(None if gone else body.get("state"))


@dataclass
class Judge:
    """Holds each answer against what the target shows, then and later. One writer a record."""

    shown: Shown
    answers: int = 0
    written: dict[str, list[int | None]] = field(default_factory=dict)
    promises: list[tuple[str, int, int]] = field(default_factory=list)

    def writes(self, name: str, state: int | None) -> None:
        self.written.setdefault(name, []).append(state)

    def answered(self, name: str) -> None:
        self.answers += 1
        last = self.written[name][-1]
        shown = self.shown.states.get(name, [])
        assert (shown[-1] if shown else None) == last, f"{name}: {shown[-3:]} at the target, {last} was answered"
        self.promises.append((name, len(self.written[name]) - 1, len(shown)))

    def check(self) -> None:
        for name, index, shown in self.promises:
            allowed = self.written[name][index:]
            for state in self.shown.states.get(name, [])[shown:]:
                assert state in allowed, f"{name}: {state} was shown after the answer about {allowed[0]}"
                allowed = allowed[allowed.index(state) :]


def item(name: str, state: int) -> dict[str, Any]:
    return {"customer": {"S": "c"}, "order_id": {"S": name}, "state": {"N": str(state)}}


def key(name: str) -> dict[str, Any]:
    return {"customer": {"S": "c"}, "order_id": {"S": name}}


@contextmanager
def blocking(w: World) -> Iterator[tuple[Any, Any]]:
    """A session and a client of botocore: what boto3 is made of."""
    session = Session()
    session.set_credentials(w.aws.access_key, w.aws.secret_key)
    client = session.create_client("dynamodb", w.aws.region, endpoint_url=w.aws.endpoint)
    yield session, client
    client.close()


async def storm(w: World) -> None:
    """Requests to the target are refused, cut off, or land late."""
    for method in ("POST", "PUT", "DELETE"):
        w.target_proxy.inject(Answer(status=503), path=DOCUMENTS, method=method, probability=0.03)
        w.target_proxy.inject(CutBefore(), path=DOCUMENTS, method=method, probability=0.02)
        w.target_proxy.inject(CutAfter(), path=DOCUMENTS, method=method, probability=0.01)
        w.target_proxy.inject(HoldDelivery(seconds=0.5), path=DOCUMENTS, method=method, probability=0.01)


async def write_async(w: World, dynamodb: Any, judge: Judge, writer: int, writes: int) -> None:
    """Puts, deletes, and records that go to another state and back, the first of them without waiting."""
    rng = random.Random(writer)
    state = 0
    for number in range(writes):
        name = f"a{writer}-{rng.randrange(2)}"
        last = (judge.written.get(name) or [None])[-1]
        chance = rng.random()
        if chance < 0.35 and last is not None:
            state += 1
            judge.writes(name, state)
            await w.dynamodb.put_item(TableName=w.table, Item=item(name, state))  # a client without the hook
            judge.writes(name, last)
            await dynamodb.put_item(TableName=w.table, Item=item(name, last))
        elif chance < 0.45:
            judge.writes(name, None)
            await dynamodb.delete_item(TableName=w.table, Key=key(name))
        else:
            state += 1
            judge.writes(name, state)
            await dynamodb.put_item(TableName=w.table, Item=item(name, state))
        judge.answered(name)
        if number % 5 == 0:
            await anyio.sleep(rng.uniform(0, 0.2))


def write_blocking(client: Any, table: str, judge: Judge, writes: int) -> None:
    for number in range(writes):
        name = f"b{number % 3}"
        judge.writes(name, number)
        client.put_item(TableName=table, Item=item(name, number))
        judge.answered(name)


async def hold_to_it(aws: AwsServer, folder: Path, mode: str, *, writes: int) -> None:
    """Ten writers with that many writes each, and a blocking client with twice as many."""
    shown = Shown()
    judge = Judge(shown)
    async with world(aws, folder) as w, aws.client("dynamodb", max_pool_connections=50) as dynamodb:
        w.config["pipelines"]["orders"]["mode"] = mode
        w.write_config()
        with blocking(w) as (_, client):
            async with running(w.daemon()) as daemon:
                await daemon.until(lambda s: s["phase"] == "following")
                w.cosmos.account.container(DATABASE, CONTAINER).watchers.append(shown)
                await storm(w)
                async with install(dynamodb, daemon.url, timeout_s=30) as hook:
                    with install(client, daemon.url, timeout_s=30) as other:
                        async with anyio.create_task_group() as tasks:
                            for writer in range(10):
                                tasks.start_soon(write_async, w, dynamodb, judge, writer, writes)
                            tasks.start_soon(
                                anyio.to_thread.run_sync, write_blocking, client, w.table, judge, 2 * writes
                            )
                assert (hook.waited, other.waited) == (10 * writes, 2 * writes)
                assert hook.exceeded == other.exceeded == 0
                w.target_proxy.lift_all()
                await daemon.caught_up(time.time(), 30)
        await w.assert_equal()
    judge.check()
    assert judge.answers == 12 * writes
    assert w.target_proxy.counters.struck.total() >= writes // 2, "the storm must have been felt"


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_no_write_returns_before_the_target_has_it(aws: AwsServer, tmp_path: Path, mode: str) -> None:
    await hold_to_it(aws, tmp_path, mode, writes=6)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_write_of_a_thousand_returns_before_the_target_has_it(aws: AwsServer, tmp_path: Path) -> None:
    await hold_to_it(aws, tmp_path, "sync", writes=90)


async def test_batches_and_transactions_are_waited_for(aws: AwsServer, tmp_path: Path) -> None:
    """Every record of them; a write that fails is not."""
    shown = Shown()
    async with (
        world(aws, tmp_path) as w,
        aws.client("dynamodb") as dynamodb,
        running(w.daemon()) as daemon,
    ):
        await daemon.until(lambda s: s["phase"] == "following")
        w.cosmos.account.container(DATABASE, CONTAINER).watchers.append(shown)
        async with install(dynamodb, daemon.url) as hook:
            puts = [{"PutRequest": {"Item": item(f"n{n}", 1)}} for n in range(25)]
            await dynamodb.batch_write_item(RequestItems={w.table: puts})
            assert [shown.states[f"n{n}"] for n in range(25)] == [[1]] * 25
            update = {
                "TableName": w.table,
                "Key": key("n1"),
                "UpdateExpression": "SET #s = :s",
                "ExpressionAttributeNames": {"#s": "state"},
                "ExpressionAttributeValues": {":s": {"N": "2"}},
            }
            await dynamodb.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": w.table, "Item": item("n0", 2)}},
                    {"Update": update},
                    {"Delete": {"TableName": w.table, "Key": key("n2")}},
                ]
            )
            assert [shown.states[f"n{n}"][-1] for n in range(4)] == [2, 2, None, 1]
            await dynamodb.update_item(**update | {"ExpressionAttributeValues": {":s": {"N": "3"}}})
            assert shown.states["n1"][-1] == 3
            waited = hook.waited
            with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
                await dynamodb.put_item(
                    TableName=w.table, Item=item("n1", 9), ConditionExpression="attribute_not_exists(order_id)"
                )
            await dynamodb.get_item(TableName=w.table, Key=key("n1"))
            assert hook.waited == waited == 3


async def test_a_write_that_cannot_be_waited_for_raises_or_is_counted(aws: AwsServer, tmp_path: Path) -> None:
    """The daemon's own reason is told; a record that is refused is not asked for again and again."""
    async with world(aws, tmp_path) as w, aws.client("dynamodb") as dynamodb:
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following")
            with blocking(w) as (session, unhooked):
                counting = install(session, daemon.url, timeout_s=2, exceeded="count")
                client = session.create_client("dynamodb", w.aws.region, endpoint_url=w.aws.endpoint)
                async with install(dynamodb, daemon.url, timeout_s=2):
                    await dynamodb.put_item(TableName=w.table, Item=item("n0", 1))
                    w.target_proxy.refuse()
                    with pytest.raises(
                        NotReplicatedError, match=r"waiting for (writes of this record|requests of unknown)"
                    ):
                        await dynamodb.put_item(TableName=w.table, Item=item("n0", 2))
                    await anyio.to_thread.run_sync(lambda: client.put_item(TableName=w.table, Item=item("n0", 3)))
                    assert (counting.exceeded, counting.waited) == (1, 0)
                    await anyio.to_thread.run_sync(lambda: unhooked.put_item(TableName=w.table, Item=item("n0", 4)))
                    assert counting.exceeded == 1, "a client that was made before"
                    w.target_proxy.accept()
        with (
            blocking(w) as (_, late),
            install(late, daemon.url, timeout_s=0.2, tables=counting._tables),
            pytest.raises(NotReplicatedError, match="gives no answer"),
        ):
            late.put_item(TableName=w.table, Item=item("n0", 5))
        with (
            blocking(w) as (_, late),
            install(late, daemon.url, timeout_s=0.2),
            pytest.raises(UnknownTablesError, match="was not sent"),
        ):
            late.put_item(TableName=w.table, Item=item("n0", 6))
        left = await w.dynamodb.get_item(TableName=w.table, Key=key("n0"), ConsistentRead=True)
        assert left["Item"]["state"] == {"N": "5"}
        counting.close()
        client.close()

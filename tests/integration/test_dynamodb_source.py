"""The DynamoDB source with the real client, against the local AWS and against answers no service would give."""

from __future__ import annotations

import gzip
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from zlib import crc32

import anyio
import pytest
from botocore.parsers import ResponseParserError

from connectors.aws.clients import open_client
from connectors.aws.config import AwsSourceConfig
from connectors.aws.dynamodb.attributes import read_item
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.source import open_source
from connectors.aws.errors import translate
from fakes.follower import telemetry
from replicator.documents import Document, key_text
from replicator.errors import ConfigurationError, TransientError
from replicator.model import Change, Operation, Partition, Resume, Severity
from replicator.registry import SourceContext
from sandbox.faults import Answer, CutAfter, FaultProxy
from sandbox.workload import Writer, awkward_items, create_orders_table, seed, seed_items

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from anyio.abc import SocketStream

    from connectors.aws.dynamodb.source import DynamoDbSource
    from sandbox.aws import AwsServer

    Clients = Callable[..., AbstractAsyncContextManager[Any]]

CONTEXT = SourceContext("pipelines.orders.source", telemetry())
KEY_NAMES = ("customer", "order_id")
AWKWARD = len(list(awkward_items()))


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ordinary chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def config(endpoint: str, table: str, **settings: Any) -> DynamoDbSourceConfig:
    """On demand, in a hurry."""
    defaults = {"region": "us-east-1", "max_read_units": 100_000, "poll_interval_s": 0.05, "idle_margin_s": 0.1}
    return DynamoDbSourceConfig(type="dynamodb", table=table, endpoint=endpoint, **{**defaults, **settings})


@asynccontextmanager
async def connected(endpoint: str, table: str, **settings: Any) -> AsyncIterator[DynamoDbSource]:
    """A source that has looked at its table."""
    async with open_source(config(endpoint, table, **settings), CONTEXT) as source:
        await source.connect()
        yield source


async def copied(source: DynamoDbSource) -> dict[str, Change[Document]]:
    """Every row, each once."""
    rows: dict[str, Change[Document]] = {}
    for partition in await source.copy_partitions():
        async for batch in source.read(partition, Resume()):
            assert not rows.keys() & {c.key for c in batch.changes}
            rows.update((c.key, c) for c in batch.changes)
    return rows


async def followed(
    source: DynamoDbSource, partition: Partition, resume: Resume, count: int
) -> tuple[list[Change[Document]], str | None]:
    """The next so many changes, and the position reached."""
    changes: list[Change[Document]] = []
    position = resume.position
    with anyio.fail_after(60):
        async for batch in source.read(partition, resume):
            changes += batch.changes
            position = batch.position
            if len(changes) >= count:
                break
            await anyio.sleep(batch.pause_s)
    return changes, position


def key_of(item: dict[str, Any]) -> str:
    document = read_item(item)
    return key_text({name: document[name] for name in KEY_NAMES})


async def test_every_awkward_item_is_scanned_as_it_was_seeded(aws: AwsServer, aws_client: Clients) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "source-scanned")
        await seed(client, "source-scanned", AWKWARD + 50)
    async with connected(aws.endpoint, "source-scanned", segments=3) as source:
        rows = await copied(source)
        expected = {key_of(item): read_item(item) for item in seed_items(AWKWARD + 50)}
        assert {key: change.record for key, change in rows.items()} == expected
        assert await source.lookup(list(expected)) == rows
        assert source.key_names == KEY_NAMES
        assert source.endpoints == (aws.endpoint,)
        assert (await source.size()).records is not None
        assert len(await source.sample(10)) == 10


async def test_the_stream_tells_the_same_items_as_the_scan(aws: AwsServer, aws_client: Clients) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "source-streamed", ttl_attribute="expires_at")
        await seed(client, "source-streamed", AWKWARD + 5)
    async with connected(aws.endpoint, "source-streamed") as source:
        (shard,) = await source.follow_partitions()
        changes, _ = await followed(source, shard, Resume(), AWKWARD + 5)
        rows = await copied(source)
        assert {c.key: c.record for c in changes} == {key: change.record for key, change in rows.items()}
        assert {c.key: c.expires_at for c in changes} == {key: change.expires_at for key, change in rows.items()}
        assert any(change.expires_at for change in changes)
        drift = [abs((c.committed_at - source.clock.latest()).total_seconds()) for c in changes if c.committed_at]
        assert len(drift) == len(changes)
        assert max(drift) < 60


async def test_changes_are_followed_in_order_and_resumed_anywhere(aws: AwsServer, aws_client: Clients) -> None:
    """Puts, updates, deletes and transactions; each record carries the version its writer gave it."""
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "source-followed")
        writer = Writer(client, "source-followed", space="w", keys=20, rate_per_s=2_000, seed=5)
        async with connected(aws.endpoint, "source-followed") as source:
            (shard,) = await source.follow_partitions()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: writer.run(operations=200))
                changes, position = await followed(source, shard, Resume(), 60)
            await writer.confirm()
            more, _ = await followed(source, shard, Resume(position), _written(writer) - len(changes))
            changes += more
            assert len(changes) == _written(writer)
            assert writer.counts.transactions
            assert _final(changes) == {key_of_pair(*k): v for k, v in writer.truth().items()}
            _assert_in_order(changes)
            await _assert_exact_replays(source, shard, changes)


def _written(writer: Writer) -> int:
    """Records the stream must hold: one for each key an operation touched."""
    return writer.counts.put + writer.counts.update + writer.counts.delete


def key_of_pair(customer: str, order_id: str) -> str:
    return key_text({"customer": customer, "order_id": order_id})


def _final(changes: list[Change[Document]]) -> dict[str, int | None]:
    """The version each key ends with."""
    return {c.key: _version(c) for c in changes}


def _version(change: Change[Document]) -> int | None:
    return None if change.operation is Operation.DELETE else int(str(change.record["version"]))


def _assert_in_order(changes: list[Change[Document]]) -> None:
    assert [int(c.version) for c in changes] == sorted(int(c.version) for c in changes)
    last: dict[str, int] = {}
    for change in changes:
        version = _version(change)
        if version is not None:
            assert version > last.get(change.key, 0)
            last[change.key] = version


async def _assert_exact_replays(source: DynamoDbSource, shard: Partition, changes: list[Change[Document]]) -> None:
    for start, end in ((0, 0), (10, 11), (30, 120), (199, len(changes) - 1)):
        resume = Resume(changes[start - 1].version if start else None, until=changes[end].version)
        replayed = [c async for batch in source.read(shard, resume) for c in batch.changes]
        assert replayed == changes[start : end + 1]


async def test_an_idle_stream_proves_time(aws: AwsServer, aws_client: Clients) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "source-idle")
    async with connected(aws.endpoint, "source-idle") as source:
        (shard,) = await source.follow_partitions()
        begun = source.clock.latest()
        with anyio.fail_after(60):
            async for batch in source.read(shard, Resume()):
                if batch.replicated_through is not None and batch.replicated_through > begun:
                    break
                await anyio.sleep(batch.pause_s)


async def test_a_disabled_stream_is_read_to_its_end(aws: AwsServer, aws_client: Clients) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "source-closed")
        await seed(client, "source-closed", 5)
        async with connected(aws.endpoint, "source-closed") as source:
            (shard,) = await source.follow_partitions()
            await client.update_table(TableName="source-closed", StreamSpecification={"StreamEnabled": False})
            with anyio.fail_after(60):
                changes = [c async for batch in source.read(shard, Resume()) for c in batch.changes]
            assert len(changes) == 5


async def test_findings_of_a_table_that_is_fine(aws: AwsServer, aws_client: Clients) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "source-checked")
        await seed(client, "source-checked", 1)
    async with connected(aws.endpoint, "source-checked") as source:
        findings = await source.check()
        assert {f.severity for f in findings} <= {Severity.OK, Severity.NOTE}, findings


@pytest.mark.parametrize(
    ("settings", "where", "said"),
    [
        ({"table": "nowhere"}, "table", "there is no table nowhere"),
        ({"endpoint": "http://127.0.0.1:9"}, "", "cannot be reached"),
        ({"profile": "nobody"}, "profile", "nobody"),
        ({"max_read_units": None}, "max_read_units", "on demand"),
    ],
)
async def test_what_cannot_work_is_told_quickly(
    aws: AwsServer, aws_client: Clients, settings: dict[str, Any], where: str, said: str
) -> None:
    name = f"source-refused-{len(said)}"
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, name)
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match=said) as told:
        async with connected(**{"endpoint": aws.endpoint, "table": name, **settings}):
            pass
    assert told.value.where == f"{CONTEXT.where}.{where}".rstrip(".")
    assert time.monotonic() - began < 5


async def test_missing_credentials_are_told(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(ConfigurationError, match=r"(?i)credentials.*docs/permissions\.md"):
        async with connected(aws.endpoint, "any"):
            pass


async def test_reading_survives_a_bad_network(aws: AwsServer, aws_client: Clients) -> None:
    async with aws_client("dynamodb") as client:
        await create_orders_table(client, "source-faulty")
        await seed(client, "source-faulty", 60)
    async with (
        FaultProxy("127.0.0.1", aws.port, seed=3) as proxy,
        connected(proxy.endpoint, "source-faulty") as source,
    ):
        proxy.inject(CutAfter(), probability=0.2)
        proxy.inject(Answer(status=200, body=b"<html>login</html>"), probability=0.1)
        proxy.inject(Answer(status=403, body=b"<html>forbidden</html>"), probability=0.1)
        proxy.inject(Answer(status=500), probability=0.1)
        (shard,) = await source.follow_partitions()
        changes, _ = await followed(source, shard, Resume(), 60)
        assert {c.key for c in changes} == (await copied(source)).keys()
        assert sum(proxy.counters.struck.values()) > 0


def checked(body: bytes, checksum: object, status: int = 200, **headers: str) -> bytes:
    """An answer as the service makes it, with the checksum of its body."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}x-amz-crc32: {checksum}\r\n\r\n".encode() + body
    )


ANSWERS = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-",
    "a redirect into nowhere": b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:9/\r\n\r\n",
    "an error page": b"HTTP/1.1 502 X\r\nContent-Length: 6\r\n\r\n<html>",
    "a refusal by a proxy": b"HTTP/1.1 407 X\r\nContent-Length: 6\r\n\r\n<html>",
    "a page in another encoding": b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<p>\xe4</p"[:-1] + b">",
    "an array": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    "a number": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n5",
    "a text": b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"x"',
    "a refusal that is an array": b"HTTP/1.1 400 X\r\nContent-Length: 2\r\n\r\n[]",
    "a body with another checksum": checked(b'{"Table":{}}', crc32(b'{"Table": {}}')),
    "a refusal with another checksum": checked(b'{"__type":"ResourceNotFoundException"}', 1, status=400),
    "no checksum": checked(b'{"Table":{}}', "none"),
}


@asynccontextmanager
async def answered_with(answer: bytes, received: list[bytes] | None = None) -> AsyncIterator[Any]:
    """A client whose every call is answered so."""
    requests = [] if received is None else received

    async def serve(stream: SocketStream) -> None:
        async with stream:
            requests.append(await stream.receive())
            await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 — no Django here
    settings = AwsSourceConfig(type="any", region="us-east-1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        async with open_client("dynamodb", settings, "w", f"http://127.0.0.1:{port}") as client:
            yield client
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_what_is_no_answer_is_transient(answer: bytes) -> None:
    """Whatever aiobotocore makes of it."""
    async with answered_with(answer) as client:
        with pytest.raises(Exception) as raised:  # noqa: PT011 — any of botocore's; what counts is its counterpart
            await client.describe_table(TableName="any")
    assert isinstance(translate("describe_table", raised.value), TransientError)


async def test_an_answer_whose_checksum_is_right_is_taken() -> None:
    body = b'{"Table": {"TableName": "any"}}'
    async with answered_with(checked(body, crc32(body))) as client:
        assert (await client.describe_table(TableName="any"))["Table"]["TableName"] == "any"


async def test_answers_are_asked_for_as_they_are_since_the_checksum_is_of_the_bytes_on_the_way() -> None:
    """A body that was encoded all the same is not read, and not taken for an empty one either."""
    packed = gzip.compress(b'{"Table": {"TableName": "any"}}')
    received: list[bytes] = []
    async with answered_with(checked(packed, crc32(packed), Content_Encoding="gzip"), received) as client:
        with pytest.raises(ResponseParserError):
            await client.describe_table(TableName="any")
    assert b"accept-encoding: identity" in received[0].lower()

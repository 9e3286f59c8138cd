"""The SQS source with the real client, against the local AWS: nothing is lost, reordered, or taken without need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from integration.aws import queue
from integration.queues import (
    FIFO,
    batch,
    batches,
    bodies,
    connected,
    counts,
    drained,
    messages,
    receive,
    send,
)

from connectors.pointers import POINTER_CLASSES, S3Pointer
from replicator.errors import ConfigurationError, PositionLostError
from replicator.messages import Attribute
from replicator.model import Depth, Mode, Partition, Resume, Severity
from sandbox.faults import Answer, CutAfter, FaultProxy

if TYPE_CHECKING:
    from replicator.messages import Message
    from replicator.model import Batch
    from sandbox.aws import AwsServer

LARGE_BODY = "ignore:Sending a large body:ResourceWarning"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ordinary chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


# --- how it may consume -----------------------------------------------------------------------------------------------


async def test_a_held_queue_is_watched_and_never_received_from(aws: AwsServer, sqs: Any) -> None:
    """A consumer beside it gets every message at its first receive."""
    url, _ = await queue(sqs)
    ids = await send(sqs, url, *"abc")
    async with connected(aws.endpoint, url, consume="hold") as source:
        assert await source.copy_partitions() == ()
        assert await source.follow_partitions() == ()
        assert await source.sample(5) == []
        await source.check()
        assert await source.depth() == Depth(3, 0, 0, None, held=True)
        assert (await source.size()).records == 3
    received = await receive(sqs, url)
    assert {message["MessageId"] for message in received} == set(ids)
    assert {message["Attributes"]["ApproximateReceiveCount"] for message in received} == {"1"}


@pytest.mark.parametrize("consume", ["mirror", "forward"])
async def test_a_queue_is_received_from_by_as_many_receivers_as_are_told(
    aws: AwsServer, sqs: Any, consume: str
) -> None:
    url, _ = await queue(sqs)
    async with connected(aws.endpoint, url, consume=consume, receivers=3) as source:
        assert await source.copy_partitions() == ()
        assert await source.follow_partitions() == tuple(Partition(f"receiver-{n}", bounded=False) for n in range(3))


@pytest.mark.parametrize("named", ["name", "arn", "url"])
async def test_a_queue_is_found_by_its_name_its_arn_or_its_url(aws: AwsServer, sqs: Any, named: str) -> None:
    url, arn = await queue(sqs, MessageRetentionPeriod="86400")
    name = {"name": arn.rpartition(":")[2], "arn": arn, "url": url}[named]
    async with connected(aws.endpoint, name) as source:
        assert source.retention is not None
        assert source.retention.days == 1
        assert source.clock.known


async def test_a_queue_that_is_not_there_is_an_error_of_the_config(aws: AwsServer, sqs: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"pipelines\.orders\.source\.queue: there is no queue nowhere"):
        async with connected(aws.endpoint, "nowhere"):
            pass


async def test_a_queue_that_is_deleted_fails_the_pipeline(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    async with connected(aws.endpoint, url) as source:
        await sqs.delete_queue(QueueUrl=url)
        with pytest.raises(PositionLostError, match="is gone"):
            await batch(source)
        with pytest.raises(PositionLostError, match="is gone"):
            await source.depth()


# --- what is handed out -----------------------------------------------------------------------------------------------


async def test_a_message_is_handed_out_with_everything_it_has(aws: AwsServer, sqs: Any) -> None:
    """Ten attributes, binary ones byte by byte, types as they were written."""
    url, arn = await queue(sqs)
    wire: dict[str, dict[str, Any]] = {
        **{f"text.{n}": {"DataType": "String", "StringValue": f"ü 😀 {n}"} for n in range(6)},
        "number": {"DataType": "Number", "StringValue": "1.50"},
        "custom": {"DataType": "Number.int", "StringValue": "7"},
        "binary": {"DataType": "Binary", "BinaryValue": bytes(range(256))},
        "image": {"DataType": "Binary.png", "BinaryValue": b"\x00"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}}
    (id_,) = await send(
        sqs, url, "body 😀", MessageAttributes=wire, MessageSystemAttributes=trace, MessageGroupId="tenant"
    )
    async with connected(aws.endpoint, url) as source:
        found = await batch(source)
        (message,) = messages(found)
        (change,) = found.changes
    assert (message.id, message.body) == (id_, "body 😀")
    assert change.key == id_
    assert change.committed_at == message.sent_at
    assert message.attributes == {
        name: Attribute(told["DataType"], told.get("BinaryValue", told.get("StringValue", "")))
        for name, told in wire.items()
    }
    assert (message.group, message.ordered, message.deduplication_id, message.sequence) == ("tenant", False, None, "")
    assert (message.trace_header, message.received) == (TRACE, 1)
    assert message.queue == arn.rpartition(":")[2]
    assert (found.read, found.late, found.position) == (1, 0, None)
    assert found.bytes > 256


async def test_a_message_of_a_fifo_queue_says_its_place_in_it(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs, **FIFO)
    await send(sqs, url, "a1", "a2", MessageGroupId="a")
    async with connected(aws.endpoint, url) as source:
        one, two = messages(await batch(source))
    assert (one.group, one.ordered, one.deduplication_id) == ("a", True, "a1")
    assert one.sequence < two.sequence


@pytest.mark.filterwarnings(LARGE_BODY)
async def test_messages_of_the_largest_size_arrive(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    sent = [str(n) * 2**20 for n in range(3)]
    await send(sqs, url, *sent)
    async with connected(aws.endpoint, url) as source:
        found = await batch(source)
        assert sorted(bodies(found)) == sent
        assert found.bytes == 3 * 2**20
        await source.settle(found, ())
    assert await counts(sqs, url) == (0, 0, 0)


async def test_messages_with_equal_bodies_are_different_messages(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    ids = await send(sqs, url, "same", "same")
    async with connected(aws.endpoint, url) as source:
        found = await batch(source)
        assert bodies(found) == ["same", "same"]
        assert {change.key for change in found.changes} == set(ids)


async def test_nothing_is_taken_before_it_is_asked_for(aws: AwsServer, sqs: Any) -> None:
    """While the target takes nothing the engine asks for no batch, and no message counts as received."""
    url, _ = await queue(sqs)
    await send(sqs, url, *map(str, range(25)))
    async with connected(aws.endpoint, url) as source:
        await batch(source)
        assert await counts(sqs, url) == (15, 10, 0)
        depth = await source.depth()
        assert depth is not None
        assert (depth.visible, depth.in_flight, depth.held) == (15, 10, False)
        assert depth.oldest_age_s is not None


# --- until it is settled ----------------------------------------------------------------------------------------------


async def test_settled_messages_are_deleted(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    await send(sqs, url, *map(str, range(12)))
    async with connected(aws.endpoint, url) as source:
        for found in await batches(source, 2):
            await source.settle(found, ())
        assert await counts(sqs, url) == (0, 0, 0)
        assert await source.depth() == Depth(0, 0, 0, 0.0)


async def test_what_is_not_settled_stays_invisible_beyond_its_timeout_and_comes_back_at_the_end(
    aws: AwsServer, sqs: Any
) -> None:
    url, _ = await queue(sqs)
    await send(sqs, url, "x")
    async with connected(aws.endpoint, url, visibility_timeout_s=3) as source:
        await batch(source)
        assert await receive(sqs, url, wait_s=6) == []
    (again,) = await receive(sqs, url)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


async def test_a_cancelled_receive_gives_back_what_it_takes(aws: AwsServer, sqs: Any) -> None:
    """The local AWS goes on with a poll whose client is gone, and the message would be missed for a minute."""
    url, _ = await queue(sqs)
    async with connected(aws.endpoint, url, wait_s=3) as source:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:

                async def send_late() -> None:
                    await anyio.sleep(0.3)
                    scope.cancel()
                    await send(sqs, url, "x")

                tasks.start_soon(send_late)
                await batch(source)
        assert scope.cancelled_caught
        (message,) = await receive(sqs, url)
        assert message["Attributes"]["ApproximateReceiveCount"] == "2", "it was taken, and given back"


async def test_receipts_that_are_over_hold_nothing_up(aws: AwsServer, sqs: Any) -> None:
    """Somebody else has received the messages since, and deleted one."""
    url, _ = await queue(sqs, **FIFO)
    await send(sqs, url, "a1", "a2", MessageGroupId="a")
    async with connected(aws.endpoint, url) as source:
        found = await batch(source)
        for receipt in found.receipts:
            held = {"QueueUrl": url, "ReceiptHandle": receipt.handle}  # type: ignore[attr-defined]
            await sqs.change_message_visibility(**held, VisibilityTimeout=0)
        other, _ = await receive(sqs, url)
        await sqs.delete_message(QueueUrl=url, ReceiptHandle=other["ReceiptHandle"])
        await source.settle(found, ())
        assert source._connected.expired == 2
    assert await counts(sqs, url) == (0, 1, 0)


# --- rejected messages ------------------------------------------------------------------------------------------------


async def test_a_rejected_message_parks_its_group_and_others_go_on(aws: AwsServer, sqs: Any) -> None:
    """Redelivered, the group comes in order, with what was sent meanwhile."""
    url, _ = await queue(sqs, **FIFO)
    ids = await send(sqs, url, "a1", "a2", MessageGroupId="a")
    await send(sqs, url, "b1", MessageGroupId="b")
    async with connected(aws.endpoint, url, visibility_timeout_s=3) as source:
        found = await batch(source)
        await source.settle(found, ids)
        await send(sqs, url, "a3", MessageGroupId="a")
        await send(sqs, url, "b2", MessageGroupId="b")
        after = await batch(source, receiver=1)
        assert bodies(after) == ["b2"]
        await source.settle(after, ())
        assert await receive(sqs, url, wait_s=4) == []
        assert await source.redeliver(ids[:1])
        again = await batch(source)
        assert bodies(again) == ["a1", "a2", "a3"]
        assert again.late == 0
        await source.settle(again, ())
        assert await counts(sqs, url) == (0, 0, 0)


async def test_a_parked_message_is_given_back_at_the_end(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    (id_,) = await send(sqs, url, "x")
    async with connected(aws.endpoint, url) as source:
        await source.settle(await batch(source), [id_])
        assert await counts(sqs, url) == (0, 1, 0)
    assert await counts(sqs, url) == (1, 0, 0)


async def test_groups_keep_their_order_over_batches_and_receivers(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs, **FIFO)
    for number in range(12):
        for group in "abc":
            await send(sqs, url, f"{group}{number}", MessageGroupId=group)
    seen: list[str] = []
    async with connected(aws.endpoint, url, Mode.COPY) as source:
        partitions = await source.copy_partitions()

        async def drain(partition: Partition) -> None:
            async for some in source.read(partition, Resume()):
                await anyio.sleep(0.05)
                seen.extend(bodies(some))
                await source.settle(some, ())

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for partition in partitions:
                    tasks.start_soon(drain, partition)
    for group in "abc":
        assert [body for body in seen if body[0] == group] == [f"{group}{number}" for number in range(12)]


# --- to its end -------------------------------------------------------------------------------------------------------


async def test_mode_copy_empties_a_queue_and_waits_delayed_messages_out(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    sent = [str(n) for n in range(25)]
    await send(sqs, url, *sent)
    await send(sqs, url, "delayed", DelaySeconds=3)
    async with connected(aws.endpoint, url, Mode.COPY, consume="hold") as source:
        assert await source.follow_partitions() == ()
        assert all(partition.bounded for partition in await source.copy_partitions())
        found = await drained(source)
    assert sorted(message.body for message in found) == sorted([*sent, "delayed"])
    assert await counts(sqs, url) == (0, 0, 0)


async def test_a_drain_waits_for_what_others_have_in_flight(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs, VisibilityTimeout="3")
    await send(sqs, url, "x")
    assert len(await receive(sqs, url)) == 1
    async with connected(aws.endpoint, url, Mode.COPY) as source:
        assert [message.body for message in await drained(source)] == ["x"]


async def test_a_drain_ends_although_a_rejected_message_is_left(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    (id_,) = await send(sqs, url, "x")
    async with connected(aws.endpoint, url, Mode.COPY, receivers=1) as source:
        (partition,) = await source.copy_partitions()
        found: list[Batch[Message]] = []
        with anyio.fail_after(20):
            async for some in source.read(partition, Resume()):
                await source.settle(some, [id_])
                found.append(some)
    assert bodies(*found) == ["x"]


async def test_an_error_of_whoever_uses_a_source_is_raised_as_it_is(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    with pytest.raises(ZeroDivisionError):
        async with connected(aws.endpoint, url):
            raise ZeroDivisionError


async def test_every_message_arrives_over_a_bad_network(aws: AwsServer, sqs: Any) -> None:
    """An answer that is lost takes its messages along until their visibility timeout ends; a page is no empty queue."""
    url, arn = await queue(sqs)
    ids = await send(sqs, url, *map(str, range(60)))
    async with FaultProxy("127.0.0.1", aws.port, seed=5) as proxy:
        async with connected(proxy.endpoint, arn, Mode.COPY, visibility_timeout_s=3) as source:
            proxy.inject(CutAfter(), probability=0.15)
            proxy.inject(Answer(status=200, body=b"<html>login</html>"), probability=0.1)
            proxy.inject(Answer(status=403, body=b"<html>forbidden</html>"), probability=0.1)
            proxy.inject(Answer(status=500), probability=0.1)
            found = await drained(source)
            proxy.lift_all()
        assert sum(proxy.counters.struck.values()) > 0
    assert {message.id for message in found} == set(ids)
    assert await counts(sqs, url) == (0, 0, 0)


# --- payloads in S3 ---------------------------------------------------------------------------------------------------


async def test_a_payload_of_an_extended_client_is_delivered_and_one_that_is_gone_says_so(
    aws: AwsServer, sqs: Any, s3: Any, bucket: str
) -> None:
    """Nothing is read before the target asks for it; the message itself stays as it was sent."""
    url, _ = await queue(sqs)
    data = ("é" * 200_000).encode()
    await s3.put_object(Bucket=bucket, Key="a b/ü", Body=data)
    size = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": str(len(data))}}
    pointers = [S3Pointer(bucket, key, min(POINTER_CLASSES)).body for key in ("a b/ü", "none")]
    await send(sqs, url, *pointers, MessageAttributes=size)
    await send(sqs, url, "plain")
    async with connected(aws.endpoint, url, s3_pointers="inline", s3_buckets=[bucket]) as source:
        found: dict[str, Message] = {}
        while len(found) < 3:
            found |= {message.body: message for message in messages(await batch(source))}
        assert {finding.severity for finding in await source.check()} == {Severity.OK, Severity.NOTE}
        there, gone, plain = (found[body].payload for body in (*pointers, "plain"))
        assert plain is None
        assert gone is not None
        assert gone.obstacle == f"the payload is gone from bucket {bucket}"
        assert there is not None
        assert there.content is not None
        pieces = [piece async for piece in there.content.read(0, there.size)]
    assert b"".join(pieces) == data


async def test_a_payload_that_nobody_may_read_says_so_and_check_finds_it(
    aws: AwsServer, sqs: Any, s3: Any, bucket: str
) -> None:
    url, _ = await queue(sqs)
    await s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    denied = b"<Error><Code>AccessDenied</Code><Message>not authorized to perform: s3:GetObject</Message></Error>"
    size = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "1"}}
    await send(sqs, url, S3Pointer(bucket, "k", min(POINTER_CLASSES)).body, MessageAttributes=size)
    async with FaultProxy("127.0.0.1", aws.port) as proxy:
        proxy.inject(Answer(status=403, headers={"x-amz-request-id": "id"}, body=denied), path=bucket)
        settings: dict[str, Any] = {"s3_pointers": "inline", "s3_buckets": [bucket], "s3_endpoint": proxy.endpoint}
        async with connected(aws.endpoint, url, **settings) as source:
            (message,) = messages(await batch(source))
            errors = [finding for finding in await source.check() if finding.severity is Severity.ERROR]
    assert message.payload is not None
    assert "cannot be read: AccessDenied" in message.payload.obstacle
    assert [f"s3:GetObject in bucket {bucket} is refused" in error.message for error in errors] == [True]

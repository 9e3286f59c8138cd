"""What the workload says a bucket holds, it holds, and its queue has been told of it."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import EndpointConnectionError

from fakes.lossy import Lossy
from sandbox.faults import CutAfter, CutBefore, FaultProxy, HoldDelivery
from sandbox.workload import ObjectWriter, TaggingEvents, calls, create_bucket, read_bucket, seed_bucket

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from sandbox.aws import AwsServer
    from sandbox.workload.object_shapes import HeldObject

    Clients = Callable[..., AbstractAsyncContextManager[Any]]

WRITES = (
    "complete_multipart_upload", "copy_object", "delete_object", "delete_object_tagging", "put_object",
    "put_object_tagging", "upload_part",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
async def told(s3: Any, sqs: Any) -> tuple[str, str]:
    """A bucket and the URL of the queue that is told of its changes."""
    name = f"bucket-{uuid.uuid4().hex}"
    return name, await create_bucket(s3, sqs, name, events_queue=name)


async def everything(s3: Any, bucket: str) -> dict[str, HeldObject]:
    return {key: held async for key, held in read_bucket(s3, bucket)}


async def events(sqs: Any, url: str) -> list[tuple[str, str]]:
    """Name and key of every event that has been told, in order."""
    found: list[tuple[str, str]] = []
    while messages := (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get("Messages"):
        for message in messages:
            await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            records = json.loads(message["Body"]).get("Records", [])
            found += [(record["eventName"], unquote_plus(record["s3"]["object"]["key"])) for record in records]
    return found


async def test_a_seeded_bucket_holds_what_is_said_of_it(s3: Any, sqs: Any, told: tuple[str, str]) -> None:
    """Every byte, label and header, the object in parts too; and each was told of once."""
    bucket, queue = told
    progress: list[int] = []
    seeded = await seed_bucket(s3, bucket, large_bytes=17_000_000, progress=progress.append)
    assert progress == list(range(1, 301))
    assert await everything(s3, bucket) == seeded
    assert seeded["sizes/large.bin"].size == 17_000_000
    assert (await s3.head_object(Bucket=bucket, Key="sizes/large.bin"))["ETag"].endswith('-3"')
    assert (await s3.get_bucket_versioning(Bucket=bucket)).get("Status") is None
    created = [(name, key) for name, key in await events(sqs, queue) if not name.startswith("ObjectTagging")]
    assert {key for _, key in created} == set(seeded)
    assert {name for name, _ in created} == {"ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload"}


async def test_a_writer_knows_what_the_bucket_holds(s3: Any, sqs: Any, told: tuple[str, str]) -> None:
    bucket, queue = told
    tagging = TaggingEvents(sqs, queue, bucket)
    writer = ObjectWriter(s3, bucket, space="live", keys=40, rate_per_s=1e9, parts_share=0.02, tagging=tagging)
    await writer.run(operations=400)
    truth = writer.truth()
    assert await everything(s3, bucket) == {key: held for key, held in truth.items() if held}
    counts = writer.counts
    assert counts.put + counts.parts + counts.retag + counts.relabel + counts.delete == counts.operations == 400
    assert min(counts.put, counts.retag, counts.relabel, counts.delete, counts.recreated) > 15
    assert counts.parts > 0
    assert counts.ambiguous == 0
    assert None in truth.values()
    names = [name for name, _ in await events(sqs, queue)]
    assert names.count("ObjectRemoved:Delete") == counts.delete
    assert names.count("ObjectTagging:Put") + names.count("ObjectTagging:Delete") >= counts.retag
    assert "ObjectTagging:Delete" in names


async def test_a_writer_knows_it_whatever_the_endpoint_does(s3: Any, told: tuple[str, str]) -> None:
    """And writes the same as it would without a fault."""
    bucket, _ = told
    calm = ObjectWriter(s3, bucket, space="calm", keys=20, rate_per_s=1e9, parts_share=0)
    await calm.run(operations=200)
    lossy = Lossy(s3, *WRITES)
    rough = ObjectWriter(lossy, bucket, space="calm/", keys=20, rate_per_s=1e9, parts_share=0.02)
    await rough.run(operations=200)
    assert lossy.lost > 50
    assert rough.counts.ambiguous == lossy.lost
    truth = {**calm.truth(), **rough.truth()}
    assert await everything(s3, bucket) == {key: held for key, held in truth.items() if held}
    assert await rough.confirm() == 0


async def test_what_lands_late_is_found_by_confirming(s3: Any, told: tuple[str, str]) -> None:
    """Tags cannot be written on a condition: an old request may put them back."""
    bucket, _ = told
    lossy = Lossy(s3, *WRITES)
    writer = ObjectWriter(lossy, bucket, space="live", keys=5, rate_per_s=1e9)
    await writer.run(operations=60)
    key = next(key for key in sorted(writer._in_doubt) if writer.truth()[key])
    await s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "late", "Value": "1"}]})
    assert await writer.confirm() == 1
    assert writer.truth()[key] == (await everything(s3, bucket))[key]
    assert await writer.confirm() == 0


async def test_a_writer_knows_it_when_requests_land_late(s3: Any, aws: AwsServer, aws_client: Clients) -> None:
    """Content is written on a condition; labels and tags may become those of an old request, which is found."""
    bucket = f"bucket-{uuid.uuid4().hex}"
    await s3.create_bucket(Bucket=bucket)
    async with FaultProxy("127.0.0.1", aws.port) as proxy, aws_client("s3", proxy.endpoint) as client:
        for method in ("PUT", "DELETE", "POST"):
            proxy.inject(HoldDelivery(seconds=0.3), method=method, probability=0.1)
            proxy.inject(CutBefore(), method=method, probability=0.05)
            proxy.inject(CutAfter(), method=method, probability=0.1)
        writer = ObjectWriter(client, bucket, space="live", keys=10, rate_per_s=1e9, parts_share=0)
        await writer.run(operations=200)
        proxy.lift_all()
        await proxy.settled()
        await writer.confirm()
    assert writer.counts.ambiguous > 20
    assert await everything(s3, bucket) == {key: held for key, held in writer.truth().items() if held}


async def test_a_request_that_is_held_is_a_failure_to_the_writer(s3: Any, aws: AwsServer, aws_client: Clients) -> None:
    """On a connection that is kept alive too, where the client's library would have sent it a second time."""
    bucket = f"bucket-{uuid.uuid4().hex}"
    await s3.create_bucket(Bucket=bucket)
    async with FaultProxy("127.0.0.1", aws.port) as proxy, aws_client("s3", proxy.endpoint) as client:
        await client.put_object(Bucket=bucket, Key="key", Body=b"")
        proxy.inject(HoldDelivery(), method="DELETE", count=1)
        with pytest.raises(EndpointConnectionError):
            await client.delete_object(Bucket=bucket, Key="key")
        assert len(proxy.late.pending) == 1

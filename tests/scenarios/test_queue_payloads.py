"""Promise: with `s3_pointers: inline` what an extended client has put into S3 is the body that arrives, in order.

The sender is one of those clients, by what it sends: a pointer, and the size of what lies in S3 as an attribute.
"""

import os
from pathlib import Path

from connectors.pointers import POINTER_CLASSES, S3Pointer
from sandbox.aws import AwsServer
from sandbox.workload.message_shapes import MessageAttribute, NewMessage
from scenarios.migration import running
from scenarios.queue_world import properties, queue_world, until

PAYLOADS = {"a b/ü": "ü" * 100_000, "late": "x" * 200_000, "empty": ""}
"""Near what the queue takes; `late` is not there at first."""

BEHIND = "a body of its own"


def pointing(bucket: str, key: str, group: str) -> NewMessage:
    size = MessageAttribute("Number", str(len(PAYLOADS[key].encode())))
    return NewMessage(S3Pointer(bucket, key, min(POINTER_CLASSES)).body, {"ExtendedPayloadSize": size}, group)


async def test_payloads_arrive_as_bodies_in_order_and_one_that_is_missing_keeps_its_group_waiting(
    aws: AwsServer, tmp_path: Path
) -> None:
    """The other group goes on; once the object is there, a retry brings the rest, and nothing is left in the queue."""
    bucket = f"payloads-{os.urandom(4).hex()}"
    inline = {"s3_pointers": "inline", "s3_buckets": [bucket]}
    async with aws.client("s3") as s3, queue_world(aws, tmp_path, "jobs.fifo", source=inline) as w:
        await s3.create_bucket(Bucket=bucket)
        for key in ("a b/ü", "empty"):
            await s3.put_object(Bucket=bucket, Key=key, Body=PAYLOADS[key].encode())
        sender = w.sender("jobs")
        for message in [
            pointing(bucket, "a b/ü", "a"),
            pointing(bucket, "late", "a"),
            NewMessage(BEHIND, {}, "a"),
            pointing(bucket, "empty", "b"),
        ]:
            await sender.send([message])
        ids = list(sender.sent.messages)
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["dead_letters"] == 2)
            await until(lambda: w.accepted("jobs") == 2, "what is in other groups, or before it, has not arrived")
            reasons = await daemon.dead_letters()
            assert reasons[ids[1]] == f"the payload is gone from bucket {bucket}"
            await s3.put_object(Bucket=bucket, Key="late", Body=PAYLOADS["late"].encode())
            assert (await daemon.post("/v1/dead-letters/retry", {"pipeline": "jobs", "keys": [ids[1]]}))[0] == 200
            await w.forwarded()
            await daemon.until(lambda s: s["dead_letters"] == 0)
        found = await w.peeked("jobs", session="a")
        assert [message.message_id for message in found] == ids[:3]
        assert [str(message) for message in found] == [PAYLOADS["a b/ü"], PAYLOADS["late"], BEHIND]
        assert [str(message) for message in await w.peeked("jobs", session="b")] == [""]
        told = properties(found[0])
        assert (told["replicator_payload_s3_bucket"], told["replicator_payload_s3_key"]) == (bucket, "a b/ü")
        assert "ExtendedPayloadSize" not in told
        log = daemon.program.text()
        assert not [body for body in (BEHIND, "üü", "xx") if body in log]

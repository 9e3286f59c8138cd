"""Promise: messages that are equal but were sent at other times are different messages, and both arrive."""

from pathlib import Path
from typing import Any

from sandbox.aws import AwsServer
from scenarios.migration import running
from scenarios.queue_world import properties, queue_world

BODY = '{"type":"heartbeat"}'
TEN_MINUTES_S = 600.0


async def send(sqs: Any, url: str, **parameters: Any) -> str:
    """Its id."""
    return str((await sqs.send_message(QueueUrl=url, MessageBody=BODY, **parameters))["MessageId"])


async def test_equal_bodies_sent_ten_minutes_apart_both_arrive(aws: AwsServer, tmp_path: Path) -> None:
    """In a standard queue, and in one group of a FIFO queue that derives deduplication ids from bodies.

    SQS itself drops an equal body for five minutes, and the local one has no clock to put forward. In place of ten
    minutes the FIFO queue is made anew: it remembers no deduplication id, and makes the same one of the same body. The
    broker, whose clock can be put forward, remembers message ids for seven days.
    """
    async with queue_world(aws, tmp_path, "beats.fifo", "pings") as w:
        fifo, standard = w.queues["beats"].url, w.queues["pings"].url
        ids: dict[str, list[str]] = {"beats": [], "pings": []}
        for _ in range(2):
            await w.sqs.delete_queue(QueueUrl=fifo)
            kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
            await w.sqs.create_queue(QueueName=fifo.rpartition("/")[2], Attributes=kind)
            async with running(w.daemon()):
                ids["beats"].append(await send(w.sqs, fifo, MessageGroupId="a"))
                dropped = await send(w.sqs, fifo, MessageGroupId="a")
                assert dropped == ids["beats"][-1], "SQS drops what is equal within five minutes"
                ids["pings"].append(await send(w.sqs, standard))
                await w.forwarded()
            w.broker.clock.advance(TEN_MINUTES_S)
        beats = await w.peeked("beats", session="a")
        assert [message.message_id for message in beats] == ids["beats"]
        assert len({properties(message)["replicator_deduplication_id"] for message in beats}) == 1
        assert {message.message_id for message in await w.peeked("pings")} == set(ids["pings"])
        assert {str(message) for message in beats + await w.peeked("pings")} == {BODY}

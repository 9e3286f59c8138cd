"""Promise: with `consume: hold` whoever works the queue keeps it to himself; the daemon only watches."""

from collections import Counter
from pathlib import Path
from typing import Any

import anyio

from sandbox.aws import AwsServer
from sandbox.faults import Pass
from scenarios.migration import running
from scenarios.queue_world import QueueWorld, queue_world, until

MESSAGES = 40
COUNT = "ApproximateReceiveCount"


class Consumer:
    """Works a queue as Lambda does: long polls, deletes what was worked, lets come again what has failed.

    Every fourth message fails the first time. `receives` are the receive counts by message id, in their order.
    """

    def __init__(self, w: QueueWorld, name: str) -> None:
        self.receives: dict[str, list[int]] = {}
        self.done: Counter[str] = Counter()
        self._sqs = w.sqs
        self._url = w.queues[name].url

    async def run(self) -> None:
        while True:
            page = await self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=5, WaitTimeSeconds=1, MessageSystemAttributeNames=[COUNT]
            )
            await self._work(page.get("Messages", []))

    async def _work(self, messages: list[Any]) -> None:
        for message in messages:
            seen = self.receives.setdefault(message["MessageId"], [])
            seen.append(int(message["Attributes"][COUNT]))
            if len(seen) > 1 or len(self.receives) % 4:
                await self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                self.done[message["MessageId"]] += 1


async def test_a_consumer_beside_the_daemon_loses_no_message_to_it(aws: AwsServer, tmp_path: Path) -> None:
    """Each receive of a message was the consumer's own; the depth of the queue shows, and no lag is made of it."""
    async with queue_world(aws, tmp_path, "mail", visibility_s=1, source={"consume": "hold"}) as w:
        receives = w.proxy.inject(Pass(), headers={"X-Amz-Target": "ReceiveMessage"})
        sender = w.sender("mail", rate_per_s=40)
        await sender.run(operations=MESSAGES)
        async with running(w.daemon()) as daemon:
            status = await daemon.until(lambda s: s["queue"] is not None)
            assert status["queue"]["held"]
            assert sum(status["queue"][kind] for kind in ("visible", "in_flight", "delayed")) == len(
                sender.sent.messages
            )
            assert status["lag_s"] is None
            assert await daemon.metric("replicator_queue_held", pipeline="mail") == 1
            consumer = Consumer(w, "mail")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(consumer.run)
                await sender.run(operations=MESSAGES)
                await until(lambda: consumer.done.total() == len(sender.sent.messages), "the consumer is not done")
                tasks.cancel_scope.cancel()
            await daemon.until(lambda s: s["queue"]["visible"] + s["queue"]["in_flight"] + s["queue"]["delayed"] == 0)
            assert (await daemon.get("/readyz"))[0] == 200
        assert consumer.done == dict.fromkeys(sender.sent.messages, 1)
        assert all(counts == [*range(1, len(counts) + 1)] for counts in consumer.receives.values())
        assert max(map(len, consumer.receives.values())) == 2, "some must have come again"
        assert receives.hits == 0
        assert w.accepted("mail") == 0

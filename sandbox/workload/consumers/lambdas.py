"""`python -m sandbox.workload.consumers.lambdas SETTINGS.json`: the functions at AWS, each only while it is triggered.

It takes from a queue or a stream while the mapping is enabled, and finishes what is in hand when it is not any more; a
stream is gone on with from its checkpoint. What a bucket has told while its notification was on is worked on later too,
as Lambda's own queue of asynchronous invocations does. The mappings' functions must not be run by the local AWS itself:
give them a reserved concurrency of 0.
"""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

import anyio
from aiobotocore.session import AioSession

from sandbox.workload.consumers.journal import Journal
from sandbox.workload.consumers.running import POLL_S, Memory, tick, until_told
from sandbox.workload.consumers.settings import AWS, EVENT, LambdaSettings, QueueFunction

ENABLED = "Enabled"


class Lambdas:
    """All of them; `clients` are by service."""

    def __init__(self, settings: LambdaSettings, clients: dict[str, Any]) -> None:
        self._settings = settings
        self._clients = clients
        self._journal = Journal(settings.journal, AWS)
        self._checkpoints = Memory(settings.checkpoints)

    async def work_queue(self, function: QueueFunction, stopping: anyio.Event) -> None:
        """Received, handled, noted, deleted: a message at a time."""
        while not stopping.is_set():
            if not (await self._is_mapped(function.mapping) and await self._take(function.kind, function.url)):
                await anyio.sleep(POLL_S)

    async def work_uploads(self, stopping: anyio.Event) -> None:
        """Whatever the bucket has told."""
        while not stopping.is_set():
            if not await self._take("uploads", self._settings.uploads):
                await anyio.sleep(POLL_S)

    async def work_stream(self, stopping: anyio.Event) -> None:
        """Shard by shard, which is one at the local AWS, from the checkpoint or else from the beginning."""
        streams, arn = self._clients["dynamodbstreams"], self._settings.stream
        while not stopping.is_set():
            found = 0
            if await self._is_mapped(self._settings.stream_mapping):
                shards = (await streams.describe_stream(StreamArn=arn))["StreamDescription"]["Shards"]
                for shard in shards:
                    found += await self._read(shard["ShardId"])
            if not found:
                await anyio.sleep(POLL_S)

    async def tick(self, stopping: anyio.Event) -> None:
        """While the rule or the schedule is enabled."""
        await tick(self._journal, self._settings.tick_s, self._is_scheduled, stopping)

    async def _read(self, shard: str) -> int:
        streams, arn = self._clients["dynamodbstreams"], self._settings.stream
        position = self._checkpoints.content.get(shard)
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if position:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position}
        iterator = (await streams.get_shard_iterator(StreamArn=arn, ShardId=shard, **where))["ShardIterator"]
        records = (await streams.get_records(ShardIterator=iterator, Limit=100))["Records"]
        for record in records:
            event = record["dynamodb"].get("NewImage", {}).get(EVENT)
            if event:
                await self._handle("orders", event["S"])
        if records:
            self._checkpoints.content[shard] = records[-1]["dynamodb"]["SequenceNumber"]
            self._checkpoints.save()
        return len(records)

    async def _take(self, kind: str, url: str) -> int:
        """How many messages there were."""
        sqs = self._clients["sqs"]
        messages = (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get("Messages", [])
        for message in messages:
            for event in events(message["Body"]):
                await self._handle(kind, event)
            await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)

    async def _handle(self, kind: str, event: str) -> None:
        await anyio.sleep(self._settings.work_s)
        self._journal.note(kind, event)

    async def _is_mapped(self, uuid: str) -> bool:
        mapping = await self._clients["lambda"].get_event_source_mapping(UUID=uuid)
        return bool(mapping["State"] == ENABLED)

    async def _is_scheduled(self) -> bool:
        if self._settings.rule:
            told = await self._clients["events"].describe_rule(Name=self._settings.rule)
        else:
            told = await self._clients["scheduler"].get_schedule(Name=self._settings.schedule)
        return bool(told["State"] == "ENABLED")


def events(body: str) -> list[str]:
    """The ids in a message: its own, or the keys of the objects that it tells of."""
    content = json.loads(body)
    if EVENT in content:
        return [content[EVENT]]
    return [unquote_plus(record["s3"]["object"]["key"]) for record in content.get("Records", ())]


async def run(settings: LambdaSettings) -> None:
    """Until it is told to end."""
    async with AsyncExitStack() as stack:
        session = AioSession()
        clients = {
            service: await stack.enter_async_context(session.create_client(service, endpoint_url=settings.endpoint))
            for service in ("sqs", "dynamodbstreams", "lambda", "events", "scheduler")
        }
        lambdas = Lambdas(settings, clients)
        works = [partial(lambdas.work_queue, function) for function in settings.queues]
        works += [partial(lambdas.work_stream)] * bool(settings.stream)
        works += [partial(lambdas.work_uploads)] * bool(settings.uploads)
        works += [partial(lambdas.tick)] * bool(settings.rule or settings.schedule)
        await until_told(list(works))


if __name__ == "__main__":
    anyio.run(run, LambdaSettings.of(sys.argv))

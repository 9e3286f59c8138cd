"""An SQS queue, in the local AWS."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from unittest.mock import patch

from contracts.worlds.messages import body_of, group_of, state_of
from contracts.worlds.sides import LocalClouds, SourceWorld

from connectors.aws.sqs import source as connector
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.receiving import Receiver
from replicator.messages import Message
from replicator.model import Mode
from replicator.ports import Source
from replicator.registry import SourceContext
from replicator.telemetry import Metrics, PipelineTelemetry

QUEUES = itertools.count()
VISIBILITY_S = 3
HURRIED = partial(Receiver, counts_interval_s=0.2)
"""The service's counts are read every 10 seconds otherwise, and no time is proven without them."""


@asynccontextmanager
async def standard_queue(clouds: LocalClouds) -> AsyncIterator[SourceWorld[Message]]:
    """The real source and the real client; messages have no group."""
    async with _world(clouds, ordered=False) as world:
        yield world


@asynccontextmanager
async def fifo_queue(clouds: LocalClouds) -> AsyncIterator[SourceWorld[Message]]:
    """Likewise; messages of a group keep their order, and what is put without one has its own."""
    async with _world(clouds, ordered=True) as world:
        yield world


@asynccontextmanager
async def _world(clouds: LocalClouds, *, ordered: bool) -> AsyncIterator[SourceWorld[Message]]:
    server = clouds.aws()
    ids: dict[str, str] = {}
    async with clouds.aws_client("sqs") as client:
        name = f"contract-{next(QUEUES)}" + (".fifo" if ordered else "")
        attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "false"} if ordered else {}
        url = (await client.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]

        async def put_in_group(group: str, name: str, number: int) -> None:
            order = {"MessageGroupId": group, "MessageDeduplicationId": name} if ordered else {}
            sent = await client.send_message(QueueUrl=url, MessageBody=body_of(name, number), **order)
            ids[name] = sent["MessageId"]

        async def put(name: str, number: int) -> None:
            await put_in_group(name, name, number)

        @asynccontextmanager
        async def opened(mode: Mode) -> AsyncIterator[Source[Message]]:
            config = SqsSourceConfig(
                type="sqs", queue=url, endpoint=server.endpoint, region=server.region, consume="mirror", receivers=2,
                wait_s=1, visibility_timeout_s=VISIBILITY_S, idle_margin_s=0.1, counts_lag_s=0.3,
            )  # fmt: skip
            context = SourceContext("contract", PipelineTelemetry(Metrics(), "contract"), mode)
            with patch.object(connector, "Receiver", HURRIED):
                async with connector.open_source(config, context) as source:
                    yield source

        world = SourceWorld(
            opened, put, ids.__getitem__, state_of, patience_s=20.0, hold_s=VISIBILITY_S + 1, again_s=VISIBILITY_S,
            quiet_s=1.5,
        )  # fmt: skip
        if ordered:
            world.put_in_group, world.group_of = put_in_group, group_of
        yield world

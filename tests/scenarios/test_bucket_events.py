"""Promises 1 and 3 against a queue of events that loses, repeats and reorders what S3 has to tell."""

import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from sandbox.aws import AwsServer
from sandbox.faults import CutAfter, Delay, Duplicate
from scenarios.bucket_world import EVENTS, PATIENT, POLL_S, BucketWorld, bucket_world, instant
from scenarios.migration import Daemon, running

RECEIVE = {"X-Amz-Target": "ReceiveMessage"}
DELETE = {"X-Amz-Target": "DeleteMessage"}

WALK_S = 5.0
"""How long a comparison of so few objects may take, on a busy machine."""


async def take_all(w: BucketWorld) -> list[str]:
    """The bodies of all messages in the queue, which are in it no more."""
    bodies: list[str] = []
    while True:
        answer = await w.sqs.receive_message(QueueUrl=w.queue_url, MaxNumberOfMessages=10)
        if not answer.get("Messages"):
            return bodies
        for message in answer["Messages"]:
            bodies.append(message["Body"])
            await w.sqs.delete_message(QueueUrl=w.queue_url, ReceiptHandle=message["ReceiptHandle"])


async def send_all(w: BucketWorld, bodies: list[str]) -> None:
    for body in bodies:
        await w.sqs.send_message(QueueUrl=w.queue_url, MessageBody=body)


async def test_events_repeated_and_out_of_order(aws: AwsServer, tmp_path: Path) -> None:
    """Each told up to three times, in any order; answers to receiving and deleting get lost on the way."""
    chance = random.Random(3)
    async with bucket_world(aws, tmp_path) as w, w.watching():
        writer = w.writer("w", keys=30, rate_per_s=200)
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["copy_stage"] == "swept")
            w.sqs_proxy.pause()
            await writer.run(operations=120)
            bodies = await take_all(w)
            shuffled = [body for body in bodies for _ in range(chance.randint(1, 3))]
            chance.shuffle(shuffled)
            await send_all(w, shuffled)
            w.sqs_proxy.inject(CutAfter(), headers=RECEIVE, count=2)
            w.sqs_proxy.inject(CutAfter(), headers=DELETE, probability=0.2)
            w.sqs_proxy.inject(Duplicate(), headers=DELETE, probability=0.2)
            w.sqs_proxy.resume()
            await w.settled(daemon)
        await w.assert_equal()
        assert len(bodies) >= 60, "the daemon has some of them in hand"
        assert w.sqs_proxy.counters.struck.total() > 3


async def test_lost_events_are_made_up_for_by_the_next_comparison(aws: AwsServer, tmp_path: Path) -> None:
    """Nothing is claimed past a lost event until a comparison, which takes its time, has found what it told of."""
    async with bucket_world(aws, tmp_path, limits=PATIENT, source={"relist_interval_s": 2}) as w, w.watching():
        writer = w.writer("w", keys=60, rate_per_s=200, parts_share=0)
        await writer.run(operations=60)
        for key in ("lost/over", "lost/gone"):
            await w.put(key, b"there before")
        async with running(w.daemon()) as daemon:
            await w.settled(daemon)
            w.target_proxy.inject(Delay(seconds=1.5), method="GET", path="comp=list")
            await w.notify()
            for key, data in UNNOTICED.items():
                await (w.delete(key) if data is None else w.put(key, data))
            lost = time.time()
            await _made_up_for(w, daemon, lost)
            await w.notify(*EVENTS)
            await writer.run(operations=20)
            await w.settled(daemon)
            await daemon.caught_up(time.time())
        await w.assert_equal()


UNNOTICED: Mapping[str, bytes | None] = {"lost/new": b"new", "lost/over": b"overwritten", "lost/gone": None}


async def _made_up_for(w: BucketWorld, daemon: Daemon, lost: float) -> None:
    """Until the target has everything; time is claimed no sooner, as read before the target is looked at."""
    with anyio.fail_after(2 * (2 + WALK_S) + 60):
        while True:
            status = await daemon.status()
            assert status is not None
            arrived = all([await w.blob(key) == data for key, data in UNNOTICED.items()])
            through = instant(status["replicated_through"])
            assert arrived or through is None or through <= lost, "what was lost was claimed to be there"
            if arrived and through is not None and through > lost:
                return
            await anyio.sleep(POLL_S)


async def test_a_message_that_is_no_event_holds_nothing_up(aws: AwsServer, tmp_path: Path) -> None:
    """Neither nonsense nor what another bucket has to tell."""
    async with bucket_world(aws, tmp_path) as w, running(w.daemon()) as daemon:
        foreign: dict[str, Any] = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "eventTime": "2026-01-01T00:00:00Z",
        }
        foreign |= {"s3": {"bucket": {"name": "other"}, "object": {"key": "x"}}}
        await send_all(w, ["no JSON", "{}", '{"Records": [{}]}', json.dumps({"Records": [foreign]}), "\u00fc" * 1000])
        await w.put("after", b"it")
        await w.until_blob("after", b"it")
        await w.settled(daemon)
        await w.assert_equal()

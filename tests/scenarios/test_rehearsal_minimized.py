"""Promise: a switch with minimized downtime loses no event and repeats one only where the runbook says so, wherever the
daemon is killed meanwhile.

The application is stopped before the switch and started against Azure after it. The daemon is killed while it copies,
while it follows, in each step of the switch, which something holds open until then, and behind the seal.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import anyio

from sandbox.aws import AwsServer
from sandbox.faults import Stall
from sandbox.workload.consumers import Journal
from sandbox.workload.consumers.settings import AWS, AZURE, EVENT
from scenarios.migration import Daemon, running
from scenarios.rehearsing import (
    asked,
    begin_upload,
    ready,
    restart,
    said,
    something_of_each,
    switched_to,
    waits_in,
)
from scenarios.shop import ENOUGH, QueueOf, Shop, shop

MAIL = "mail"

LEFT = [f"left-{number}" for number in range(5)]
"""Messages that nobody at AWS takes any more."""

IN_HAND = "in-hand"
"""One whose function has done its work, and has ended before it could delete the message."""

DELAYED, DELAY_S = "delayed", 8

LATE = "late"
"""Sent when functions are turned on at Azure already, and delayed: it comes when all else is over."""

EXPIRES_S = 6

STEPS = ["cordon", "drain", "release", "activate", "seal"]


async def test_killed_in_every_phase(aws: AwsServer, tmp_path: Path) -> None:
    async with shop(aws, tmp_path, mode="async", queues={MAIL: QueueOf("hold")}, schedule=True) as s:
        with_gates(s)
        async with s.at_work(s.lambdas(), s.functions()), running(s.daemon()) as daemon:
            await s.send_traffic(AWS)
            async with s.at_work(s.application("before")):
                await killed_while_copying_and_following(s, daemon)
            await s.all_worked_on()
            await killed_while_switching(s, daemon)
            await restart(daemon)
            await daemon.until(lambda status: status["phase"] == "sealed")
            await s.send_traffic(AZURE)
            async with s.at_work(s.application("after")):
                await something_of_each(s, AZURE)
            await judge(s, daemon)
            await somebody_goes_on_at_aws(s, daemon)


def with_gates(s: Shop) -> None:
    """Hooks in the midst of both kinds of triggers, which let the switch pass when they are opened."""
    listed = list(s.config["triggers"].items())
    gates = {"cordoning": s.gate("cordoning", AWS), "activating": s.gate("activating", AZURE)}
    s.write_config(cutover=ENOUGH, triggers=dict(listed[:3]) | gates | dict(listed[3:]))


async def killed_while_copying_and_following(s: Shop, daemon: Daemon) -> None:
    with s.source_proxy.inject(Stall(), headers={"X-Amz-Target": "Scan"}) as scan:
        await restart(daemon)
        await scan.wait_for_hits()
        await daemon.until(lambda status: status["phase"] == "copying")
        await daemon.kill()
    await daemon.start()
    await ready(daemon)
    await restart(daemon)
    await said(s, daemon, 0, "cutover", "status", "--wait", "--timeout", "60")


async def killed_while_switching(s: Shop, daemon: Daemon) -> None:
    """Each step is held open until the daemon was killed in it and has come to it again."""
    assert (await daemon.post("/v1/cutover/switch", {"max_pause_s": 200}))[0] == 200
    await s.reached("cordoning")
    await restart(daemon)
    await waits_in(daemon, "cordon")
    receipt = await leave_some_mail(s)
    await put_what_expires(s)
    upload = await begin_upload(s, "one")
    s.open("cordoning")
    await waits_in(daemon, "drain", "upload")
    await restart(daemon)
    await waits_in(daemon, "drain", "upload")
    await s.clients["s3"].abort_multipart_upload(**upload)
    await waits_in(daemon, "release", "mail")
    await restart(daemon)
    await waits_in(daemon, "release", "mail")
    await s.clients["sqs"].change_message_visibility(QueueUrl=s.urls[MAIL], ReceiptHandle=receipt, VisibilityTimeout=0)
    await s.reached("activating")
    await restart(daemon)
    await waits_in(daemon, "activate")
    assert await phases(daemon) == {"orders": "sealed", "media": "sealed", MAIL: "draining"}
    await send(s, LATE, DELAY_S)
    s.open("activating")
    await waits_in(daemon, "seal", MAIL)
    await restart(daemon)
    await waits_in(daemon, "seal", MAIL)
    told = await switched_to(daemon, "done")
    assert [taken["step"] for taken in told["steps"] if taken["step"] in STEPS] == STEPS


async def leave_some_mail(s: Shop) -> str:
    """Sent while no function at AWS takes any more, and before the fence. Returns the receipt of what is in hand."""
    for event, delay_s in [(IN_HAND, 0), *((left, 0) for left in LEFT), (DELAYED, DELAY_S)]:
        await send(s, event, delay_s)
    taken = await s.clients["sqs"].receive_message(QueueUrl=s.urls[MAIL], VisibilityTimeout=300)
    (message,) = taken["Messages"]
    Journal(s.folder / "at-aws.jsonl", AWS).note(MAIL, json.loads(message["Body"])[EVENT])
    return str(message["ReceiptHandle"])


async def send(s: Shop, event: str, delay_s: int) -> None:
    body = json.dumps({EVENT: event})
    await s.clients["sqs"].send_message(QueueUrl=s.urls[MAIL], MessageBody=body, DelaySeconds=delay_s)
    Journal(s.folder / "test.written.jsonl", AWS).note(MAIL, event)


async def phases(daemon: Daemon) -> dict[str, str]:
    """By pipeline, once the daemon knows them."""
    with anyio.fail_after(30):
        while not (pipelines := (await asked(daemon, "/v1/status")).get("pipelines")):  # noqa: ASYNC110 -- it is asked
            await anyio.sleep(0.05)
    return {name: status["phase"] for name, status in pipelines.items()}


async def put_what_expires(s: Shop) -> None:
    """While the sources are drained."""
    expires = {"N": str(int(time.time()) + EXPIRES_S)}
    item = {"customer": {"S": "c1"}, "order_id": {"S": "short"}, "expires": expires}
    await s.clients["dynamodb"].put_item(TableName=s.table, Item=item)


async def judge(s: Shop, daemon: Daemon) -> None:
    """Nothing lost, nothing twice but what was in hand, nobody at AWS and at Azure at once; both sides equal."""
    found = await s.all_worked_on()
    assert not found.unknown
    assert {one.event for one in found.repeated} == {IN_HAND}
    assert {entry.event for entry in s.worked_on(AZURE) if entry.kind == MAIL} >= {*LEFT, IN_HAND, DELAYED, LATE}
    assert found.handled("ticks", AWS)
    assert found.handled("ticks", AZURE)
    await s.assert_equal()
    report = (await daemon.get("/v1/report"))[1]
    assert report["phase"] == "sealed"
    assert report["strategy"] == "minimized downtime"
    done = [(action["name"], action["detail"].split(":")[0]) for action in report["actions"]]
    for name in ("orders", "uploads", MAIL, "nightly"):
        assert ("turn a trigger off", f"{name}.aws") in done
        assert ("turn a trigger on", f"{name}.azure") in done


async def somebody_goes_on_at_aws(s: Shop, daemon: Daemon) -> None:
    """A process that nobody knew of writes at AWS after the seal: the tripwire names what it has written."""
    await s.send_traffic(AWS)
    async with s.at_work(s.application("forgotten")):
        await something_of_each(s, AWS, "forgotten")
        await named_late(daemon, "orders", "forgotten-1-order")
        await named_late(daemon, "media", "forgotten-1-upload")
    with anyio.fail_after(30):
        while (await daemon.get("/readyz"))[0] != 503:  # noqa: ASYNC110 -- a status is taken at intervals
            await anyio.sleep(0.1)


async def named_late(daemon: Daemon, pipeline: str, key: str) -> None:
    told: Any = None
    with anyio.move_on_after(30):
        while True:
            told = (await daemon.get("/v1/cutover/drain"))[1]["pipelines"][pipeline]
            if any(key in late for late in told["late_keys"]):
                return
            await anyio.sleep(0.05)
    raise AssertionError(told)

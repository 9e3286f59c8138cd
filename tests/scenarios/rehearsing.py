"""What rehearsals of a switch share: commands that ask the daemon, waiting for a step, what holds one open, kills that
surely fall into one, and somebody who goes on at AWS behind the seal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import anyio

from sandbox.faults import Rule, Stall
from sandbox.processes import replicator_program
from sandbox.workload.consumers import Journal
from sandbox.workload.consumers.settings import AWS, EVENT
from scenarios.migration import DEADLINE_S, Daemon
from scenarios.shop import Shop


async def asked(daemon: Daemon, path: str) -> tuple[int, Any]:
    """Status code and JSON of a GET, repeated until it is answered: on a busy machine that may take its time."""
    with anyio.fail_after(DEADLINE_S):
        while True:
            try:
                return await daemon.get(path)
            except (aiohttp.ClientError, TimeoutError):
                assert daemon.program.exit_code is None, daemon.program.tail()
                await anyio.sleep(0.1)


async def switched_to(daemon: Daemon, stage: str, deadline_s: float = DEADLINE_S) -> Mapping[str, Any]:
    """How the switch stands when it has come to that."""
    told: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while told.get("stage") != stage:
            _, told = await asked(daemon, "/v1/cutover/switch")
            await anyio.sleep(0.1)
    assert told.get("stage") == stage, told
    return told


async def waits_in(daemon: Daemon, step: str, what: str = "", deadline_s: float = DEADLINE_S) -> Mapping[str, Any]:
    """The step, when the switch is in it and waits for this."""
    told: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while True:
            _, told = await asked(daemon, "/v1/cutover/switch")
            last = told["steps"][-1] if told["steps"] else {"step": None, "ended_at": None}
            if last["step"] == step and last["ended_at"] is None and what in told["waiting_for"]:
                return last
            await anyio.sleep(0.1)
    raise AssertionError(f"not in {step} within {deadline_s} s: {told}")


async def killed_in(daemon: Daemon, step: str, what: str = "") -> None:
    """Killed in a step that something holds open, and started again: the step has not ended before nor after."""
    before = await waits_in(daemon, step, what)
    await restart(daemon)
    assert await waits_in(daemon, step, what) == before


def held_copying(s: Shop) -> Rule:
    """The table's scan stands still until this is lifted."""
    return s.source_proxy.inject(Stall(), headers={"X-Amz-Target": "Scan"})


async def killed_while_copying(daemon: Daemon, held: Rule) -> None:
    """A copy that stands still cannot be over before the daemon is. It is ready when this returns."""
    await held.wait_for_hits()
    await daemon.until(lambda status: status["phase"] == "copying")
    await daemon.kill()
    held.lift()
    await daemon.start()
    await ready(daemon)


async def killed_while_following(daemon: Daemon) -> None:
    """Nothing but a switch ends this phase."""
    await killed_in_phase(daemon, "following")
    await ready(daemon)


async def killed_in_phase(daemon: Daemon, phase: str) -> None:
    """Of all pipelines, before and after."""
    await all_in(daemon, phase)
    await restart(daemon)
    await all_in(daemon, phase)


async def all_in(daemon: Daemon, phase: str) -> None:
    """Returns when the status says so of every pipeline, which it does a moment later than it is so."""
    found: Mapping[str, str] = {}
    with anyio.move_on_after(DEADLINE_S):
        while set((found := await phases(daemon)).values()) != {phase}:  # noqa: ASYNC110 -- it is asked
            await anyio.sleep(0.1)
    assert set(found.values()) == {phase}, found


async def phases(daemon: Daemon) -> dict[str, str]:
    """By pipeline, once the daemon knows them."""
    with anyio.fail_after(DEADLINE_S):
        while not (pipelines := (await asked(daemon, "/v1/status"))[1]["pipelines"]):  # noqa: ASYNC110 -- it is asked
            await anyio.sleep(0.1)
    return {name: status["phase"] for name, status in pipelines.items()}


async def said(s: Shop, daemon: Daemon, expect: int, *arguments: str) -> str:
    """What a command prints that asks the daemon."""
    log = s.folder / f"{'-'.join(arguments[:2])}.log"
    log.unlink(missing_ok=True)
    program = replicator_program(log, *arguments, "--url", daemon.url, environment=s.environment)
    async with program:
        code, text = await program.wait(2 * DEADLINE_S), program.text()
    assert code == expect, text
    return text


async def ready(daemon: Daemon, deadline_s: float = DEADLINE_S) -> None:
    found: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while not found.get("ready"):
            await anyio.sleep(0.1)
            _, found = await asked(daemon, "/v1/cutover")
    assert found.get("ready"), found.get("reasons")


async def restart(daemon: Daemon) -> None:
    await daemon.kill()
    await daemon.start()


async def begin_upload(s: Shop, key: str) -> dict[str, str]:
    where = {"Bucket": s.bucket, "Key": key}
    return where | {"UploadId": (await s.clients["s3"].create_multipart_upload(**where))["UploadId"]}


async def something_of_each(s: Shop, side: str, name: str = "") -> None:
    """Returns when an application has written something of every kind there."""
    with anyio.fail_after(DEADLINE_S):
        while {e.kind for e in s.written() if e.side == side and e.event.startswith(name)} < s.kinds:  # noqa: ASYNC110
            await anyio.sleep(0.1)


async def send(s: Shop, queue: str, event: str, delay_s: int) -> None:
    """Sent to a queue at AWS and noted as written, as the application does it."""
    body = json.dumps({EVENT: event})
    await s.clients["sqs"].send_message(QueueUrl=s.urls[queue], MessageBody=body, DelaySeconds=delay_s)
    Journal(s.folder / "test.written.jsonl", AWS).note(queue, event)


async def take_in_hand(s: Shop, queue: str) -> str:
    """As a function that works on a message, and ends before it can delete it: `give_back`. Returns the receipt."""
    taken = await s.clients["sqs"].receive_message(QueueUrl=s.urls[queue], VisibilityTimeout=300)
    (message,) = taken["Messages"]
    Journal(s.folder / "at-aws.jsonl", AWS).note(queue, json.loads(message["Body"])[EVENT])
    return str(message["ReceiptHandle"])


async def give_back(s: Shop, queue: str, receipt: str) -> None:
    """Its visibility timeout is over."""
    url = s.urls[queue]
    await s.clients["sqs"].change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)


async def somebody_goes_on_at_aws(s: Shop, daemon: Daemon) -> None:
    """A process that nobody knew of writes at AWS after the seal: the tripwire names what it has written."""
    await s.send_traffic(AWS)
    async with s.at_work(s.application("forgotten")):
        await something_of_each(s, AWS, "forgotten")
        await named_late(daemon, "orders", "forgotten-1-order")
        await named_late(daemon, "media", "forgotten-1-upload")
    with anyio.fail_after(DEADLINE_S):
        while (await asked(daemon, "/readyz"))[0] != 503:  # noqa: ASYNC110 -- a status is taken at intervals
            await anyio.sleep(0.1)


async def named_late(daemon: Daemon, pipeline: str, key: str) -> None:
    """Returns when the drain's answer names it."""
    told: Any = None
    with anyio.move_on_after(DEADLINE_S):
        while True:
            told = (await asked(daemon, "/v1/cutover/drain"))[1]["pipelines"][pipeline]
            if any(key in late for late in told["late_keys"]):
                return
            await anyio.sleep(0.1)
    raise AssertionError(told)

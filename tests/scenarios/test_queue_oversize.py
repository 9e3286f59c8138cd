"""Promise: a message that the target cannot take is kept with its reason, its group waits, and everything else goes on.

There are two ways out: the queue takes larger ones, or their bodies are left in blobs.
"""

import hashlib
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from azure.storage.blob.aio import ContainerClient

from replicator.cli.dead_letters import Letter
from sandbox.aws import AwsServer
from sandbox.azurite import Azurite
from sandbox.processes import replicator_program
from sandbox.servicebus import QueueSettings
from sandbox.workload import Sender
from sandbox.workload.message_shapes import NewMessage
from scenarios.migration import Daemon, running
from scenarios.queue_world import WINDOW_S, QueueWorld, queue_world, until

LARGE = "ü" * 150_000
"""300 KB; the queue takes 256 KiB."""


async def send(sender: Sender, *bodies: str) -> None:
    """One by one; a body begins with the name of its group, which has one letter."""
    for body in bodies:
        await sender.send([NewMessage(body[2:] if body[2:] == LARGE else body, group=body[0])])


@asynccontextmanager
async def parked(w: QueueWorld, daemon: Daemon) -> AsyncIterator[Sender]:
    """Of group `a` the second message is too large, so a third waits behind it; group `b` has arrived."""
    sender = w.sender("jobs")
    await send(sender, "a1", f"a:{LARGE}", "a3", "b1")
    await daemon.until(lambda s: s["dead_letters"] == 2)
    await send(sender, "a4", "b2")
    await until(lambda: w.accepted("jobs") == 3, "what is in other groups, or before it, has not arrived")
    yield sender


async def letters(w: QueueWorld, daemon: Daemon, command: str, *options: str) -> tuple[int, str]:
    """Exit code and output of `replicator dead-letters`."""
    log = w.folder / "letters.log"
    log.unlink(missing_ok=True)
    arguments = ("dead-letters", command, "jobs", "--url", daemon.url, *options)
    async with replicator_program(log, *arguments) as program:
        return await program.wait(), program.text()


async def listed(w: QueueWorld, daemon: Daemon) -> list[Letter]:
    found: list[Letter] = json.loads((await letters(w, daemon, "list", "--json"))[1])
    return found


async def test_a_message_that_is_too_large_parks_its_group_until_the_queue_takes_it(
    aws: AwsServer, tmp_path: Path
) -> None:
    """A retry before that has it refused again; one afterwards brings its group in order, what was sent since too."""
    async with queue_world(aws, tmp_path, "jobs.fifo") as w, running(w.daemon()) as daemon, parked(w, daemon) as sender:
        ids = list(sender.sent.messages)
        reasons = {letter["key"]: letter["reason"] for letter in await listed(w, daemon)}
        assert reasons.keys() == set(ids[1:3])
        assert re.search("up to 30.... bytes, and the queue takes 262144: .*Premium.*claim_check", reasons[ids[1]])
        assert "behind an earlier message of its group" in reasons[ids[2]]
        assert (await daemon.get("/readyz"))[0] == 503
        assert (await letters(w, daemon, "retry", "--all"))[0] == 1
        await until(lambda: _seen(daemon, {ids[1]: 2, ids[2]: 2, ids[4]: 1}), "they were not tried again")
        assert w.accepted("jobs") == 3
        w.broker.namespace.delete("jobs")
        larger = QueueSettings(sessions=True, duplicate_window_s=WINDOW_S, max_message_bytes=1024 * 1024)
        w.broker.namespace.create("jobs", larger)
        await until(lambda: _resolved(w, daemon, ids[1]), "they are still refused")
        await w.forwarded()
        assert [m.message_id for m in await w.peeked("jobs", session="a")] == [*ids[1:3], ids[4]]
        await until(lambda: _ready(daemon), "the status still speaks of dead letters")


async def _seen(daemon: Daemon, counts: dict[str, int]) -> bool:
    _, answer = await daemon.get("/v1/dead-letters")
    return {letter["key"]: letter["count"] for letter in answer["dead_letters"]} == counts


async def _resolved(w: QueueWorld, daemon: Daemon, key: str) -> bool:
    """As a person would do it: the limit is looked at once a second."""
    await letters(w, daemon, "retry", "--key", key)
    return not await listed(w, daemon)


async def _ready(daemon: Daemon) -> bool:
    return (await daemon.get("/readyz"))[0] == 200


async def test_after_a_restart_with_claim_checks_the_parked_group_arrives_at_once(
    aws: AwsServer, azurite: Azurite, tmp_path: Path
) -> None:
    """In order, its large body in a blob; and no dead letter stays open."""
    container = f"claims-{os.urandom(4).hex()}"
    async with queue_world(aws, tmp_path, "jobs.fifo") as w:
        daemon = w.daemon()
        async with running(daemon), parked(w, daemon) as sender:
            ids = list(sender.sent.messages)
        w.environment["BLOB_KEY"] = azurite.account_key
        claims = {"endpoint": azurite.endpoint, "container": container, "key": "${BLOB_KEY}"}
        w.config["pipelines"]["jobs"]["target"] |= {"oversize": "claim_check", "claim_check": claims, "create": True}
        w.write_config()
        async with running(w.daemon()) as daemon:
            await w.forwarded()
            await daemon.until(lambda s: s["dead_letters"] == 0)
        found = await w.peeked("jobs", session="a")
        assert [message.message_id for message in found] == [*ids[:3], ids[4]]
        claim = json.loads(str(found[1]))["claim_check"]
        assert claim["sha256"] == hashlib.sha256(LARGE.encode()).hexdigest()
        async with ContainerClient(azurite.endpoint, container, credential=azurite.account_key) as client:
            blob = client.get_blob_client(claim["url"].partition(f"/{container}/")[2])
            assert await (await blob.download_blob()).readall() == LARGE.encode()

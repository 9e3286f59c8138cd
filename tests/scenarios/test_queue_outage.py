"""Promise: a target that is down for long moves no message to the source's dead-letter queue."""

import time
from pathlib import Path

import anyio

from sandbox.aws import AwsServer
from sandbox.servicebus import Fault
from scenarios.migration import run_command, running
from scenarios.queue_world import VISIBILITY_S, QueueWorld, properties, queue_world

MOST_RECEIVES = 2
STANDS_FOR_AN_HOUR_S = 1.5 * VISIBILITY_S * MOST_RECEIVES
"""If messages came again whenever their visibility timeout ends, they would be received too often within this."""

HELD_AT_MOST = 80
"""Half of limits.max_batches, of ten messages each."""


async def test_an_outage_of_the_target_costs_a_message_one_receive_and_a_restart_another(
    aws: AwsServer, tmp_path: Path
) -> None:
    """First nothing listens there, then, after a restart, it is busy: each for longer than all receives would last."""
    async with queue_world(aws, tmp_path, "jobs.fifo", "mail", max_receives=MOST_RECEIVES) as w:
        w.write_config(limits={**w.config["limits"], "drain_deadline_s": 1})
        senders = {name: w.sender(name, rate_per_s=1e9) for name in w.queues}
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following")
            await w.broker.stop()
            for sender in senders.values():
                await sender.run(operations=80)
            await _nothing_is_lost_meanwhile(w)
            await daemon.until(lambda s: "target" in s["degraded"])
            await daemon.program.stop()
            assert await _in_flight(w) == 0, "what was held is given back"
        code, text = await run_command(w, "run")
        assert code == 2, text
        assert await _in_flight(w) == 0, "nothing is received before the target has answered"
        await w.broker.start()
        busy = w.broker.faults.add(Fault(operation="send*", condition="com.microsoft:server-busy"))
        async with running(daemon):
            await _nothing_is_lost_meanwhile(w)
            w.broker.faults.remove(busy)
            await w.forwarded()
        assert max(properties(m)["replicator_received"] for m in await w.peeked("mail")) == MOST_RECEIVES
        for name, sender in senders.items():
            found = await w.arrived(name, sender.sent)
            assert found.is_right, found
            assert found.received == sender.counts.messages > HELD_AT_MOST
        assert await w.given_up() == 0


async def _nothing_is_lost_meanwhile(w: QueueWorld) -> None:
    ends_at = time.monotonic() + STANDS_FOR_AN_HOUR_S
    while time.monotonic() < ends_at:
        assert (await w.counts(w.queues["mail"].url))[1] <= HELD_AT_MOST
        assert await w.given_up() == 0
        await anyio.sleep(0.2)


async def _in_flight(w: QueueWorld) -> int:
    return sum([(await w.counts(queue.url))[1] for queue in w.queues.values()])

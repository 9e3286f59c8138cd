"""Promise: with `mode: copy` a queue is received to its end, by a command that ends and may be interrupted."""

import signal
from pathlib import Path

from sandbox.aws import AwsServer
from sandbox.servicebus import Fault
from sandbox.workload import Sender
from sandbox.workload.message_shapes import NewMessage
from scenarios.migration import run_command
from scenarios.queue_world import QueueWorld, queue_world, until

DELAY_S = 6
"""Everything else is drained by then, and the queue was found empty but for these."""


async def _filled(w: QueueWorld) -> dict[str, Sender]:
    senders = {name: w.sender(name, rate_per_s=1e9) for name in w.queues}
    for sender in senders.values():
        await sender.run(operations=60)
    return senders


async def _all_has_arrived(w: QueueWorld, senders: dict[str, Sender]) -> None:
    for name, sender in senders.items():
        assert not any(await w.counts(w.queues[name].url))
        found = await w.arrived(name, sender.sent)
        assert found.is_right, found
        assert found.received == sender.counts.messages


async def test_queues_are_drained_to_their_end_and_delays_are_waited_out(aws: AwsServer, tmp_path: Path) -> None:
    async with queue_world(aws, tmp_path, "jobs.fifo", "mail", mode="copy", source={"consume": "hold"}) as w:
        senders = await _filled(w)
        async with w.daemon().program as program:
            await until(lambda: w.broker.stats()["accepted"] > 0, "nothing arrives")
            await senders["mail"].send([NewMessage(f"late {number}", delay_s=DELAY_S) for number in range(10)])
            assert await program.wait() == 0, program.tail()
        await _all_has_arrived(w, senders)


async def test_a_drain_that_is_interrupted_gives_back_what_it_holds_and_the_next_one_finishes(
    aws: AwsServer, tmp_path: Path
) -> None:
    """In the middle of sending, which takes long."""
    async with queue_world(aws, tmp_path, "jobs.fifo", "mail", mode="copy", visibility_s=600) as w:
        for pipeline in w.config["pipelines"].values():
            pipeline["source"]["visibility_timeout_s"] = 600
        w.write_config(limits={**w.config["limits"], "drain_deadline_s": 1})
        senders = await _filled(w)
        w.broker.faults.add(Fault(operation="send*", skip=4, stall=True))
        daemon = w.daemon()
        async with daemon.program:
            await until(lambda: w.broker.stats()["accepted"] > 0, "nothing arrives")
            await until(lambda: _holds(w), "nothing is under way")
            daemon.program.send(signal.SIGTERM)
            assert await daemon.program.wait() == 1, daemon.program.tail()
            assert daemon.program.text().splitlines()[-1].startswith("NOT FINISHED: ")
        for name, queue in w.queues.items():
            visible, in_flight, _ = await w.counts(queue.url)
            assert in_flight == 0, f"{name} must not wait for its visibility timeout"
            assert visible > 0
        w.broker.faults.clear()
        code, text = await run_command(w, "run")
        assert code == 0, text
        await _all_has_arrived(w, senders)


async def _holds(w: QueueWorld) -> bool:
    return all([(await w.counts(queue.url))[1] for queue in w.queues.values()])

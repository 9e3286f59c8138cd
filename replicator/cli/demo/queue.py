"""A queue of the demo, FIFO or standard, and the Service Bus queue that it goes to."""

import random
from dataclasses import asdict
from itertools import islice
from typing import Any

from replicator.cli.demo.counting import messages_in
from replicator.cli.demo.workload import Compared, Load
from replicator.cli.sandbox import LocalClouds
from replicator.config.models import MigrationConfig
from replicator.wording import counted
from sandbox.workload import Outcome, Sender, create_queue, portable_messages, receive_all
from sandbox.workload.message_shapes import some_message
from sandbox.workload.messages import FIFO_SUFFIX

CONFIG = """\
  {name}:
    source:
      type: sqs
      queue: {queue}
      endpoint: {aws}
      consume: forward # nobody else takes from it
      wait_s: 1
      idle_margin_s: 1
      counts_lag_s: 1
    target:
      type: servicebus
      connection_string: ${{SERVICEBUS_CONNECTION_STRING}}
      management_endpoint: {management}
      queue: {name}
      sessions: {sessions}
      create: true
"""

GROUPS = 8

BATCH = 10
"""As many as one request takes."""


class Queue:
    """See `Workload`. Whatever was sent must arrive as it was sent, at least once, and nothing else may."""

    def __init__(self, name: str, clouds: LocalClouds, sqs: Any, url: str, load: Load) -> None:
        self.name = name
        self._sender = Sender(sqs, url, space=name, rate_per_s=load.slow_rate_per_s)
        self._sqs = sqs
        self._url = url
        self._messages = load.messages
        self._filled = 0
        self._bus = clouds.servicebus_connection_string
        self.config = CONFIG.format(
            name=name,
            queue=url.rpartition("/")[2],
            aws=clouds.aws.endpoint,
            management=clouds.servicebus_http_endpoint,
            sessions=str(self._sender.sent.ordered).lower(),
        )

    @property
    def writes(self) -> int:
        return self._sender.counts.messages - self._filled

    async def fill(self) -> str:
        for _, message in islice(portable_messages(), self._messages):
            await self._sender.send([message])
        chance = random.Random(self.name)  # noqa: S311 — the same for each run
        while (count := self._sender.counts.messages) < self._messages:
            numbers = range(count, min(count + BATCH, self._messages))
            await self._sender.send([some_message(chance, n, f"group-{n % GROUPS}") for n in numbers])
        self._filled = self._sender.counts.messages
        return f"{counted(self._filled, 'message')} in {self._url.rpartition('/')[2]}"

    async def write(self, for_s: float) -> None:
        await self._sender.run(for_s=for_s)

    async def confirm(self) -> None:
        """Whatever was sent ambiguously is known to be so."""

    async def waiting(self) -> int:
        return await messages_in(self._sqs, self._url)

    async def compare(self, migration: MigrationConfig) -> Compared:
        sent = self._sender.sent
        found = await receive_all(self._bus, self.name, sent, sessions=sent.ordered)
        return compared_messages(found, len(sent.messages), ordered=sent.ordered)


def compared_messages(found: Outcome, sent: int, *, ordered: bool) -> Compared:
    """In words."""
    disordered = f", {found.disordered} out of order in their groups" if ordered else ""
    verdict = (
        f"{counted(sent, 'message')} sent, {found.received:,} received; {found.missing} missing, {found.different} "
        f"different, {found.extra} extra{disordered}; {counted(found.duplicates + found.repeated, 'duplicate')}"
    )
    counts: dict[str, Any] = {"sent": sent, **asdict(found)}
    named = counts.pop("named")
    return Compared(found.is_right, verdict, counts, named)


async def open_queue(name: str, clouds: LocalClouds, sqs: Any, load: Load) -> Queue:
    """A new queue, FIFO where its name ends so; its pipeline is called without that ending."""
    queue = await create_queue(sqs, name, max_receives=None)
    return Queue(name.removesuffix(FIFO_SUFFIX), clouds, sqs, queue.url, load)

"""The queue that a bucket's notifications come to, found and kept for as long as its source is open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
from anyio.abc import TaskGroup

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.clients import open_client
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.event_time import EventTime
from connectors.aws.s3.notifications import Notifications
from connectors.aws.sqs.places import require_unshared
from connectors.aws.sqs.queue import Queue, find_queue
from connectors.aws.sqs.queue_time import QueueTime
from connectors.aws.sqs.receiving import READ_TIMEOUT_S, Receiver
from replicator.errors import ConfigurationError
from replicator.model import Mode, Partition
from replicator.registry import SourceContext

RECEIVE_MARGIN = timedelta(seconds=10)
"""How long a message may hide in the queue; the margin for S3 itself comes on top."""


class Following:
    """What is needed to follow a bucket; `queue` and `notifications` are there once `begin` has returned.

    Nothing is received before it is read; what was received is kept from others by a task of `tasks`.
    """

    def __init__(
        self, config: S3SourceConfig, name: str, context: SourceContext, client: Any, tasks: TaskGroup
    ) -> None:
        self.where = f"{context.where}.notifications"
        self.client = client
        self.caller = Caller(self.where, context.telemetry, YieldingBudget(1.0))
        self._config = config
        self._name = name
        self._telemetry = context.telemetry
        self._siblings = context.siblings
        self._tasks = tasks
        self._queue: Queue | None = None
        self._notifications: Notifications | None = None

    async def begin(self) -> None:
        """Raises ConfigurationError when the queue cannot be used."""
        require_unshared(self._config.place, self._siblings, self.where)
        queue = await find_queue(self.caller, self.client, self._name, self.where)
        if queue.ordered:
            raise ConfigurationError(
                self.where, f"{queue.name} is a FIFO queue, which S3 sends nothing to", "Name a standard queue"
            )
        config, margin = self._config, timedelta(seconds=self._config.idle_margin_s)
        receiver = Receiver(
            self.caller,
            self.client,
            queue,
            self._telemetry,
            QueueTime(min(margin, RECEIVE_MARGIN), counts_lag=timedelta(seconds=config.counts_lag_s)),
            wait_s=config.wait_s,
            visibility_s=config.visibility_timeout_s,
        )
        self._queue = queue
        self._notifications = Notifications(
            receiver, config.bucket, config.key_prefix, EventTime(margin), self._telemetry
        )
        self._tasks.start_soon(self._notifications.keep)

    def partitions(self) -> tuple[Partition, ...]:
        """One for each receiver. They take from one queue, so what one leaves unread another one reads."""
        return tuple(Partition(f"receiver-{number}", bounded=False) for number in range(self._config.receivers))

    @property
    def settling(self) -> timedelta:
        """The margin of S3, that of its queue, and twice how old the queue's counts may be."""
        margin, counts_lag = timedelta(seconds=self._config.idle_margin_s), timedelta(seconds=self._config.counts_lag_s)
        return margin + min(margin, RECEIVE_MARGIN) + 2 * counts_lag

    @property
    def queue(self) -> Queue:
        assert self._queue is not None, "begin comes first"  # noqa: S101
        return self._queue

    @property
    def notifications(self) -> Notifications:
        assert self._notifications is not None, "begin comes first"  # noqa: S101
        return self._notifications

    async def close(self) -> None:
        """Gives back what was received and not settled, once the tasks have ended."""
        if self._notifications is not None:
            await self._notifications.close()


@asynccontextmanager
async def open_following(config: S3SourceConfig, context: SourceContext) -> AsyncIterator[Following | None]:
    """None where nothing is followed. Enter and leave it in the same task."""
    if config.notifications is None or context.mode is Mode.COPY:
        yield None
        return
    of_queue = config.model_copy(update={"endpoint": config.queue_endpoint})
    where = f"{context.where}.notifications"
    async with open_client("sqs", of_queue, where, read_timeout_s=READ_TIMEOUT_S) as client:
        following = None
        try:
            async with anyio.create_task_group() as tasks:
                following = Following(config, config.notifications, context, client, tasks)
                try:
                    yield following
                finally:
                    tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _alone(group) from None
        finally:
            if following is not None:
                await following.close()


def _alone(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended whoever used the source is raised as it is, since callers react to its class."""
    return group.exceptions[0] if len(group.exceptions) == 1 else group

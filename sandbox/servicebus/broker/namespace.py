"""The queues of a namespace by name; names are compared without regard to case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.servicebus.broker.errors import EXISTS, NOT_FOUND, RefusedError
from sandbox.servicebus.broker.queue import Queue
from sandbox.servicebus.broker.settings import check_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.clock import Clock
    from sandbox.servicebus.broker.settings import QueueSettings

DEAD_LETTERS = "/$deadletterqueue"


class Namespace:
    """All queues. `on_deleted` holds what is called with each queue that is dropped.

    `wake_at` is called with the instant at which `catch_up` is to be called at the latest.
    """

    def __init__(self, clock: Clock, wake_at: Callable[[float], None] = lambda _: None) -> None:
        self.on_deleted: list[Callable[[Queue], None]] = []
        self._clock = clock
        self._wake_at = wake_at
        self._queues: dict[str, Queue] = {}

    def create(self, name: str, settings: QueueSettings) -> Queue:
        """Create a queue. Raises RefusedError when the name is taken or not allowed."""
        key = check_name(name).casefold()
        if key in self._queues:
            raise RefusedError(EXISTS, f"The messaging entity '{name}' already exists.")
        self._queues[key] = Queue(name, settings, self._clock, self._wake_at)
        return self._queues[key]

    def delete(self, name: str) -> None:
        """Drop a queue with all its messages. Raises RefusedError if there is none."""
        queue = self.queue(name)
        del self._queues[name.casefold()]
        for deleted in self.on_deleted:
            deleted(queue)

    def queue(self, name: str) -> Queue:
        """The queue of that name. Raises RefusedError."""
        found = self._queues.get(name.casefold())
        if found is None:
            raise RefusedError(NOT_FOUND, f"The messaging entity '{name}' could not be found.")
        return found

    def find(self, path: str) -> Queue:
        """The queue or dead-letter queue at a path such as `orders/$DeadLetterQueue`. Raises RefusedError."""
        key = path.casefold()
        if not key.endswith(DEAD_LETTERS):
            return self.queue(path)
        found = self.queue(path[: -len(DEAD_LETTERS)]).dead_letters
        assert found is not None  # noqa: S101 -- every queue in a namespace has one
        return found

    def queues(self) -> list[Queue]:
        """All queues, by name."""
        return [self._queues[key] for key in sorted(self._queues)]

    def catch_up(self) -> None:
        """Let happen what is due in any queue."""
        for queue in self.queues():
            queue.catch_up()

    def next_at(self) -> float | None:
        """The next instant at which something is due, in seconds since the epoch."""
        return min((at for queue in self.queues() if (at := queue.next_at()) is not None), default=None)

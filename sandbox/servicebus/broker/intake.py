"""How messages come into a queue: duplicates are dropped, scheduled ones wait for their time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sandbox.servicebus.broker.duplicates import DuplicateWindow
from sandbox.servicebus.broker.stored import State, Stored, scheduled_for

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from sandbox.clock import Clock
    from sandbox.servicebus.amqp.sections import Message
    from sandbox.servicebus.broker.settings import QueueSettings
    from sandbox.servicebus.broker.shelf import Shelf
    from sandbox.servicebus.broker.timers import Timers


class Intake:
    """Gives numbers to messages. `enqueue(message)` is called for each one that becomes active."""

    def __init__(
        self,
        settings: QueueSettings,
        clock: Clock,
        timers: Timers,
        shelf: Shelf,
        counts: Counter[str],
        enqueue: Callable[[Stored], None],
    ) -> None:
        window_s = settings.duplicate_window_s
        self._window = None if window_s is None else DuplicateWindow(window_s, clock)
        self._clock = clock
        self._timers = timers
        self._shelf = shelf
        self._counts = counts
        self._enqueue = enqueue
        self._last_number = 0

    def take_in(self, content: Message) -> int:
        """Take one message; the number it has, or would have had were it no duplicate."""
        message = Stored(self._next_number(), content, self._clock.now())
        if self._is_duplicate(message):
            return message.sequence
        self._counts["accepted"] += 1
        message.due_at = scheduled_for(content)
        if message.due_at is not None and message.due_at > self._clock.now():
            message.state = State.SCHEDULED
            self._shelf.put(message)
            self._timers.at(message.due_at, partial(self._activate, message))
        else:
            self._admit(message)
        return message.sequence

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _is_duplicate(self, message: Stored) -> bool:
        if self._window is None or not self._window.contains(message.message_id):
            return False
        self._counts["duplicates"] += 1
        return True

    def _activate(self, message: Stored) -> None:
        """A scheduled message is enqueued as if it were sent now, under a new number."""
        if not self._shelf.holds(message):
            return
        self._shelf.remove(message)
        if self._is_duplicate(message):
            return
        message.sequence, message.state, message.enqueued_at = self._next_number(), State.ACTIVE, self._clock.now()
        self._admit(message)

    def _admit(self, message: Stored) -> None:
        if self._window is not None:
            self._window.add(message.message_id)
        self._enqueue(message)

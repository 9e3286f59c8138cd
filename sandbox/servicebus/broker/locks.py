"""The locks on messages, by their tokens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from sandbox.servicebus.broker.errors import MESSAGE_LOCK_LOST, RefusedError
from sandbox.servicebus.broker.stored import Lock, Stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.servicebus.broker.timers import Timers


class Locks:
    """Which messages are locked. `expired(message)` is called when a lock that ends by itself has ended."""

    def __init__(self, timers: Timers, expired: Callable[[Stored], None]) -> None:
        self._timers = timers
        self._expired = expired
        self._held: dict[UUID, Stored] = {}

    def __len__(self) -> int:
        return len(self._held)

    def begin(self, message: Stored, until: float) -> Lock:
        """Lock a message until an instant."""
        lock = self._set(message, uuid4(), until)
        self._timers.at(until, partial(self._ran_out, lock))
        return lock

    def begin_for_session(self, message: Stored, until: float) -> Lock:
        """Lock a message for as long as its session is held; `until` is what the receiver is told."""
        return self._set(message, uuid4(), until)

    def prolong(self, token: UUID, until: float) -> None:
        """Move the end of a lock. Raises RefusedError if it is lost."""
        lock = self._set(self.find(token), token, until)
        self._timers.at(until, partial(self._ran_out, lock))

    def find(self, token: UUID) -> Stored:
        """The message under this lock. Raises RefusedError if it is lost."""
        message = self._held.get(token)
        if message is None:
            raise RefusedError(
                MESSAGE_LOCK_LOST,
                "The lock supplied is invalid. Either the lock expired, or the message has already been removed from"
                " the queue.",
            )
        return message

    def end(self, token: UUID) -> Stored:
        """Take the lock off its message. Raises RefusedError if it is lost."""
        message = self.find(token)
        del self._held[token]
        message.lock = None
        return message

    def _set(self, message: Stored, token: UUID, until: float) -> Lock:
        lock = message.lock = Lock(token, until)
        self._held[token] = message
        return lock

    def _ran_out(self, lock: Lock) -> None:
        message = self._held.get(lock.token)
        if message is not None and message.lock is lock:
            self.end(lock.token)
            self._expired(message)

"""A queue and its dead-letter queue."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from sandbox.servicebus.broker.admission import Admission
from sandbox.servicebus.broker.errors import (
    MESSAGE_LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_ALLOWED,
    SESSION_LOCK_LOST,
    RefusedError,
)
from sandbox.servicebus.broker.intake import Intake
from sandbox.servicebus.broker.locks import Locks
from sandbox.servicebus.broker.sessions import Sessions
from sandbox.servicebus.broker.shelf import Shelf
from sandbox.servicebus.broker.stored import State, Stored
from sandbox.servicebus.broker.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from sandbox.clock import Clock
    from sandbox.servicebus.amqp.sections import Message
    from sandbox.servicebus.amqp.types import Value
    from sandbox.servicebus.broker.sessions import Session
    from sandbox.servicebus.broker.settings import QueueSettings

REASON: Final = "DeadLetterReason"
DESCRIPTION: Final = "DeadLetterErrorDescription"


class Queue:
    """Messages in order, with locks, delivery counts, expiry, schedules, sessions and duplicate detection.

    `dead_letters` is its other queue, which has none of its own and no features. `counts` says how many messages
    were accepted, dropped as duplicates, completed and so on. `wake_at` is called with the instant at which
    `catch_up` is to be called at the latest.
    """

    def __init__(
        self,
        name: str,
        settings: QueueSettings,
        clock: Clock,
        wake_at: Callable[[float], None] = lambda _: None,
        *,
        is_dead_letters: bool = False,
    ) -> None:
        self.name = name
        self.settings = settings
        self.created_at = clock.now()
        self.counts: Counter[str] = Counter()
        self.timers = Timers(clock, wake_at)
        self.shelf = Shelf()
        self.sessions: Sessions | None = None
        self.dead_letters: Queue | None = None
        self._clock = clock
        self._watchers: dict[object, Callable[[], None]] = {}
        self._locks = Locks(self.timers, self._lock_ran_out)
        self._admission = Admission(settings, clock)
        self._intake = Intake(settings, clock, self.timers, self.shelf, self.counts, self._enqueue)
        if settings.sessions:
            self.sessions = Sessions(settings.lock_s, clock, self.timers, self._session_given_up)
        if not is_dead_letters:
            plain = replace(settings, sessions=False, duplicate_window_s=None, time_to_live_s=None)
            self.dead_letters = Queue(f"{name}/$deadletterqueue", plain, clock, wake_at, is_dead_letters=True)

    def send(self, contents: Sequence[Message]) -> list[int]:
        """Take messages in, all or none; their numbers. Duplicates are dropped silently. Raises RefusedError."""
        if self.dead_letters is None:
            raise RefusedError(NOT_ALLOWED, "Messages cannot be sent to a dead-letter queue.")
        self.catch_up()
        self._admission.check(contents, self.shelf.bytes + self.dead_letters.shelf.bytes)
        numbers = [self._intake.take_in(content) for content in contents]
        self._announce()
        return numbers

    def cancel(self, numbers: Iterable[int]) -> None:
        """Take scheduled messages back, all or none. Raises RefusedError if one is not scheduled any more."""
        self.catch_up()
        for message in [self.shelf.find(number, State.SCHEDULED) for number in numbers]:
            self._finish(message, "cancelled")

    def take(self, session: Session | None = None, *, settled: bool = False) -> Stored | None:
        """The next message, locked, or removed if it counts as settled by being sent; None if there is none.

        Of a session only while it is held.
        """
        message = self.shelf.ready.pop(session.id if session else None)
        if message is not None:
            self._hand_out(message, session, settled=settled)
        return message

    def take_deferred(
        self, numbers: Iterable[int], session: Session | None = None, *, settled: bool = False
    ) -> list[Stored]:
        """Deferred messages by their numbers, all or none. Raises RefusedError if one is not there or locked."""
        self.catch_up()
        found = [self.shelf.find(number, State.DEFERRED) for number in numbers]
        wanted = session.id if session else None
        if any(message.lock is not None or self._key(message) != wanted for message in found):
            raise RefusedError(MESSAGE_NOT_FOUND, "A deferred message is locked, or of another session.")
        for message in found:
            self._hand_out(message, session, settled=settled)
        return found

    def peek(self, first: int, most: int, session_id: str | None = None) -> list[Stored]:
        """Messages from a number on, whatever their state, without locking them."""
        self.catch_up()
        return self.shelf.browse(first, most, session_id)

    def next_session(self) -> str | None:
        """The free session with the oldest message that may be received."""
        self.catch_up()
        free = (key for key in self.shelf.ready.sessions() if self.sessions and not self.sessions.is_held(key))
        return next(free, None)

    def complete(self, token: UUID) -> None:
        """The message is done with. Raises RefusedError if its lock is lost, as all of these do."""
        self._finish(self._unlock(token), "completed")

    def abandon(self, token: UUID, changes: dict[Value, Value] | None = None) -> None:
        """Give it back as a failed delivery, with these application properties set."""
        message = self._unlock(token)
        _change(message, changes)
        self._give_back(message, failed=True)
        self._announce()

    def release(self, token: UUID) -> None:
        """Give it back as if it had never been received."""
        self._give_back(self._unlock(token), failed=False)
        self._announce()

    def defer(self, token: UUID, changes: dict[Value, Value] | None = None) -> None:
        """Set it aside; from now on it is received by its number only."""
        message = self._unlock(token)
        _change(message, changes)
        message.state = State.DEFERRED
        self._give_back(message, failed=False)

    def dead_letter(
        self, token: UUID, reason: str | None, description: str | None, changes: dict[Value, Value] | None = None
    ) -> None:
        """Move it to the dead-letter queue with a reason."""
        if self.dead_letters is None:
            raise RefusedError(NOT_ALLOWED, "A dead-letter queue has no dead-letter queue.")
        message = self._unlock(token)
        _change(message, changes)
        self._bury(message, reason, description)

    def renew(self, token: UUID) -> float:
        """Prolong a message's lock; its new end in seconds since the epoch."""
        self.catch_up()
        if self.sessions is not None:
            raise RefusedError(NOT_ALLOWED, "Messages of a session are locked by it: renew the lock of the session.")
        until = self._clock.now() + self.settings.lock_s
        self._locks.prolong(token, until)
        return until

    def catch_up(self) -> None:
        """Let happen what is due by now: locks and lives that end, schedules that begin."""
        if self.timers.catch_up():
            self._announce()
        if self.dead_letters is not None:
            self.dead_letters.catch_up()

    def next_at(self) -> float | None:
        """The next instant at which `catch_up` has something to do, in seconds since the epoch."""
        both = (self.timers.next_at, self.dead_letters.timers.next_at if self.dead_letters else None)
        return min((instant for instant in both if instant is not None), default=None)

    def stats(self) -> dict[str, int]:
        """How many messages there are in each state, and what became of all that there ever were."""
        kinds = ("accepted", "duplicates", "completed", "expired", "cancelled", "dead_lettered", "locks_lost")
        dead = sum(self.dead_letters.shelf.count().values()) if self.dead_letters else 0
        present = {**self.shelf.count(), "locked": len(self._locks), "dead_letters": dead}
        return {**present, **{kind: self.counts[kind] for kind in kinds}}

    def watch(self, watcher: object, callback: Callable[[], None]) -> None:
        """Call back when something may be received that could not be before; the last to ask is called last."""
        self._watchers.pop(watcher, None)
        self._watchers[watcher] = callback

    def unwatch(self, watcher: object) -> None:
        """Call back no more."""
        self._watchers.pop(watcher, None)

    def _announce(self) -> None:
        for watcher, callback in list(self._watchers.items()):
            if watcher in self._watchers:
                callback()

    def _enqueue(self, message: Stored) -> None:
        """An active message arrives: its life begins, and it may be received."""
        given_ms, longest_s = message.content.header.ttl, self.settings.time_to_live_s
        lives_s = [
            life_s for life_s in (None if given_ms is None else given_ms / 1000, longest_s) if life_s is not None
        ]
        if lives_s:
            header = replace(message.content.header, ttl=min(round(min(lives_s) * 1000), 0xFFFFFFFF))
            message.content = replace(message.content, header=header)
            message.expires_at = message.enqueued_at + min(lives_s)
            self.timers.at(message.expires_at, partial(self._expire, message))
        self.shelf.put(message)
        self.shelf.ready.add(self._key(message), message)

    def _key(self, message: Stored) -> str | None:
        return message.session_id if self.sessions is not None else None

    def _hand_out(self, message: Stored, session: Session | None, *, settled: bool) -> None:
        if settled:
            self._finish(message, "completed")
        elif session is not None:
            session.tokens.add(self._locks.begin_for_session(message, session.locked_until).token)
        else:
            self._locks.begin(message, self._clock.now() + self.settings.lock_s)

    def _unlock(self, token: UUID) -> Stored:
        self.catch_up()
        try:
            message = self._locks.end(token)
        except RefusedError as refused:
            if self.sessions is None or refused.condition != MESSAGE_LOCK_LOST:
                raise
            raise RefusedError(SESSION_LOCK_LOST, "The session lock has expired on the session.") from refused
        if self.sessions is not None:
            self.sessions.forget(message.session_id, token)
        return message

    def _lock_ran_out(self, message: Stored) -> None:
        self.counts["locks_lost"] += 1
        self._give_back(message, failed=True)

    def _session_given_up(self, tokens: set[UUID], failed: bool) -> None:
        for message in [self._locks.end(token) for token in tokens]:
            self._give_back(message, failed=failed)
        self._announce()

    def _give_back(self, message: Stored, *, failed: bool) -> None:
        """An unlocked message is to be received again, unless it has been too often or its life is over."""
        message.delivery_count += failed
        if message.expires_at is not None and message.expires_at <= self._clock.now():
            self._expire(message)
        elif failed and self.dead_letters is not None and message.delivery_count >= self.settings.max_delivery_count:
            tries = f"Message could not be consumed after {self.settings.max_delivery_count} delivery attempts."
            self._bury(message, "MaxDeliveryCountExceeded", tries)
        elif message.state is State.ACTIVE:
            self.shelf.ready.add(self._key(message), message)

    def _expire(self, message: Stored) -> None:
        """Its life is over; a locked message lives until its lock ends."""
        if message.lock is not None or not self.shelf.holds(message):
            return
        if self.settings.dead_letter_expired:
            self._bury(message, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            self._finish(message, "expired")

    def _finish(self, message: Stored, how: str) -> None:
        self.shelf.remove(message)
        self.counts[how] += 1

    def _bury(self, message: Stored, reason: str | None, description: str | None) -> None:
        """Move an unlocked message to the dead-letter queue; it keeps number, times and delivery count."""
        assert self.dead_letters is not None  # noqa: S101 -- only messages of the queue itself are buried
        self._finish(message, "dead_lettered")
        given: dict[Value, Value] = {REASON: reason, DESCRIPTION: description}
        _change(message, {name: text for name, text in given.items() if text is not None})
        message.state, message.expires_at = State.ACTIVE, None
        self.dead_letters.receive_buried(message)

    def receive_buried(self, message: Stored) -> None:
        """Take a message that its queue gives up."""
        self.counts["accepted"] += 1
        self.shelf.put(message)
        self.shelf.ready.add(None, message)
        self._announce()


def _change(message: Stored, changes: dict[Value, Value] | None) -> None:
    if changes:
        message.content = message.content.with_application_properties({str(key): v for key, v in changes.items()})

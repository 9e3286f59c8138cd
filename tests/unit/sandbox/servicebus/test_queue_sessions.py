"""What the sessions of a queue promise, by a clock that is moved by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes.amqp import body_of, message
from sandbox.servicebus.broker.errors import (
    MESSAGE_NOT_FOUND,
    NOT_ALLOWED,
    SESSION_LOCK_LOST,
    SESSION_TAKEN,
    RefusedError,
)
from sandbox.servicebus.broker.queue import Queue
from sandbox.servicebus.broker.settings import QueueSettings

if TYPE_CHECKING:
    from uuid import UUID

    from sandbox.clock import Clock
    from sandbox.servicebus.broker.sessions import Session, Sessions


class Receiver:
    """Holds a session and remembers whether it lost it."""

    def __init__(self, name: str = "link") -> None:
        self.name = name
        self.lost = False

    def session_lost(self) -> None:
        self.lost = True


@pytest.fixture
def queue(clock: Clock) -> Queue:
    queue = Queue("q", QueueSettings(sessions=True, lock_s=30, max_delivery_count=2), clock)
    queue.send([message("a1", session="a"), message("b1", session="b"), message("a2", session="a")])
    return queue


def sessions_of(queue: Queue) -> Sessions:
    assert queue.sessions is not None
    return queue.sessions


def taken(queue: Queue, session: Session) -> tuple[str, UUID]:
    stored = queue.take(session)
    assert stored is not None
    assert stored.lock is not None
    return body_of(stored.content), stored.lock.token


def refused(condition: str) -> pytest.RaisesExc[RefusedError]:
    return pytest.raises(RefusedError, match=condition)


def test_a_session_hands_out_its_own_messages_in_order(queue: Queue) -> None:
    session = sessions_of(queue).accept("a", Receiver())
    assert [taken(queue, session)[0] for _ in range(2)] == ["a1", "a2"]
    assert queue.take(session) is None


def test_a_session_has_one_holder_at_a_time(queue: Queue) -> None:
    holder = Receiver()
    session = sessions_of(queue).accept("a", holder)
    with refused(SESSION_TAKEN):
        sessions_of(queue).accept("a", Receiver())
    sessions_of(queue).release(session, holder)
    sessions_of(queue).accept("a", Receiver())


def test_a_former_holder_cannot_give_up_what_is_anothers(queue: Queue) -> None:
    former, present = Receiver("former"), Receiver("present")
    session = sessions_of(queue).accept("a", former)
    sessions_of(queue).set_state("a", b"kept", "former")
    sessions_of(queue).release(session, former)
    assert sessions_of(queue).accept("a", present) is session
    sessions_of(queue).release(session, former)
    assert sessions_of(queue).held("a", "present") is session


def test_the_next_session_is_the_free_one_with_the_oldest_message(queue: Queue) -> None:
    assert queue.next_session() == "a"
    sessions_of(queue).accept("a", Receiver())
    assert queue.next_session() == "b"
    sessions_of(queue).accept("b", Receiver())
    assert queue.next_session() is None


def test_a_session_without_messages_can_be_held_but_is_not_next(queue: Queue) -> None:
    sessions_of(queue).accept("empty", Receiver())
    assert queue.next_session() == "a"


def test_a_session_that_is_given_up_returns_its_messages_uncounted(queue: Queue) -> None:
    holder = Receiver()
    session = sessions_of(queue).accept("a", holder)
    _, token = taken(queue, session)
    sessions_of(queue).release(session, holder)
    with refused(SESSION_LOCK_LOST):
        queue.complete(token)
    again = queue.take(sessions_of(queue).accept("a", Receiver()))
    assert again is not None
    assert (body_of(again.content), again.delivery_count) == ("a1", 0)


def test_a_lock_that_runs_out_returns_messages_counted_and_tells_the_holder(queue: Queue, clock: Clock) -> None:
    holder = Receiver()
    session = sessions_of(queue).accept("a", holder)
    taken(queue, session)
    clock.advance(30)
    queue.catch_up()
    assert holder.lost
    again = queue.take(sessions_of(queue).accept("a", Receiver()))
    assert again is not None
    assert (body_of(again.content), again.delivery_count) == ("a1", 1)


def test_a_renewed_session_outlasts_its_first_lock(queue: Queue, clock: Clock) -> None:
    holder = Receiver("mine")
    session = sessions_of(queue).accept("a", holder)
    _, token = taken(queue, session)
    clock.advance(20)
    assert sessions_of(queue).renew("a", "mine") == clock.now() + 30
    clock.advance(29)
    queue.complete(token)
    assert not holder.lost
    clock.advance(1)
    queue.catch_up()
    assert holder.lost
    with refused(SESSION_LOCK_LOST):
        sessions_of(queue).renew("a", "mine")


def test_a_session_message_that_fails_too_often_is_buried(queue: Queue) -> None:
    session = sessions_of(queue).accept("b", Receiver())
    queue.abandon(taken(queue, session)[1])
    queue.abandon(taken(queue, session)[1])
    assert queue.take(session) is None
    assert queue.stats()["dead_letters"] == 1


def test_the_state_of_a_session_outlives_its_holder(queue: Queue) -> None:
    holder = Receiver("one")
    session = sessions_of(queue).accept("a", holder)
    sessions_of(queue).set_state("a", b"half-way", "one")
    sessions_of(queue).release(session, holder)
    assert sessions_of(queue).accept("a", Receiver("two")).state == b"half-way"
    with refused(SESSION_LOCK_LOST):
        sessions_of(queue).set_state("a", b"mine", "one")


def test_sessions_are_listed_by_state_and_by_the_time_it_was_set(queue: Queue, clock: Clock) -> None:
    sessions_of(queue).accept("x", Receiver())
    sessions_of(queue).set_state("x", b"1", None)
    begun = clock.now()
    clock.advance(10)
    sessions_of(queue).accept("y", Receiver())
    sessions_of(queue).set_state("y", None, None)
    assert sessions_of(queue).with_state_since(None) == ["x"]
    assert sessions_of(queue).with_state_since(begun) == ["y"]
    assert queue.shelf.sessions() == {"a", "b"}


def test_deferred_messages_are_handed_to_the_holder_of_their_session(queue: Queue) -> None:
    first, second = (sessions_of(queue).accept(name, Receiver()) for name in ("a", "b"))
    queue.defer(taken(queue, first)[1])
    with refused(MESSAGE_NOT_FOUND):
        queue.take_deferred([1], second)
    (deferred,) = queue.take_deferred([1], first)
    assert deferred.lock is not None
    queue.complete(deferred.lock.token)


def test_messages_of_sessions_have_no_locks_of_their_own(queue: Queue) -> None:
    session = sessions_of(queue).accept("a", Receiver())
    _, token = taken(queue, session)
    with refused(NOT_ALLOWED):
        queue.renew(token)

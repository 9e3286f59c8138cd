"""What a queue promises, by a clock that is moved by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from fakes.amqp import body_of, message
from sandbox.servicebus.amqp.types import Int
from sandbox.servicebus.broker.duplicates import DuplicateWindow
from sandbox.servicebus.broker.errors import (
    ARGUMENT,
    BUSY,
    FULL,
    MESSAGE_LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_ALLOWED,
    TOO_LARGE,
    RefusedError,
)
from sandbox.servicebus.broker.queue import Queue
from sandbox.servicebus.broker.settings import QueueSettings
from sandbox.servicebus.broker.stored import State

if TYPE_CHECKING:
    from uuid import UUID

    from sandbox.clock import Clock


def bodies(queue: Queue, most: int = 100) -> list[str]:
    """What lies in a queue, in order."""
    return [body_of(stored.content) for stored in queue.peek(0, most)]


def taken(queue: Queue) -> tuple[str, UUID]:
    """Body and lock token of the next message."""
    stored = queue.take()
    assert stored is not None
    assert stored.lock is not None
    return body_of(stored.content), stored.lock.token


def refused(condition: str) -> pytest.RaisesExc[RefusedError]:
    """The context in which something is refused with this condition."""
    return pytest.raises(RefusedError, match=condition)


def test_messages_are_received_in_the_order_in_which_they_were_sent(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    numbers = queue.send([message("a"), message("b")]) + queue.send([message("c")])
    assert numbers == [1, 2, 3]
    assert [taken(queue)[0] for _ in range(3)] == ["a", "b", "c"]
    assert queue.take() is None


def test_an_abandoned_message_comes_back_in_its_place_and_counts(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    queue.send([message("a"), message("b"), message("c")])
    _, token = taken(queue)
    taken(queue)
    queue.abandon(token, {"tried": Int(1)})
    stored = queue.take()
    assert stored is not None
    assert (body_of(stored.content), stored.delivery_count) == ("a", 1)
    assert stored.content.application_values() == {"tried": 1}


def test_a_released_message_comes_back_as_if_never_received(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    queue.send([message("a")])
    queue.release(taken(queue)[1])
    stored = queue.take()
    assert stored is not None
    assert stored.delivery_count == 0


def test_a_lock_ends_by_itself_and_cannot_be_used_afterwards(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(lock_s=30), clock)
    queue.send([message("a")])
    _, token = taken(queue)
    clock.advance(29.9)
    queue.catch_up()
    assert queue.take() is None
    clock.advance(0.1)
    for settle in (queue.complete, queue.abandon, queue.release, queue.defer, queue.renew):
        with refused(MESSAGE_LOCK_LOST):
            settle(token)
    with refused(MESSAGE_LOCK_LOST):
        queue.dead_letter(token, None, None)
    stored = queue.take()
    assert stored is not None
    assert stored.delivery_count == 1
    assert queue.stats()["locks_lost"] == 1


def test_a_renewed_lock_lasts_a_whole_duration_from_then_on(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(lock_s=30), clock)
    queue.send([message("a")])
    _, token = taken(queue)
    clock.advance(20)
    assert queue.renew(token) == clock.now() + 30
    clock.advance(29)
    queue.catch_up()
    assert queue.take() is None
    queue.complete(token)
    assert queue.stats()["completed"] == 1


def test_the_last_allowed_delivery_that_fails_buries_the_message(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(max_delivery_count=2, lock_s=30), clock)
    queue.send([message("a", kept=Int(5))])
    queue.abandon(taken(queue)[1])
    taken(queue)
    clock.advance(30)
    queue.catch_up()
    assert queue.take() is None
    assert queue.dead_letters is not None
    buried = queue.dead_letters.take()
    assert buried is not None
    assert buried.sequence == 1
    assert buried.content.application_values() == {
        "kept": 5,
        "DeadLetterReason": "MaxDeliveryCountExceeded",
        "DeadLetterErrorDescription": "Message could not be consumed after 2 delivery attempts.",
    }
    assert isinstance(buried.content.application_values()["kept"], Int)


def test_dead_letters_never_expire_and_are_never_buried_again(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(max_delivery_count=1, time_to_live_s=60), clock)
    queue.send([message("a")])
    queue.dead_letter(taken(queue)[1], "why", None)
    dead = queue.dead_letters
    assert dead is not None
    clock.advance(3_600)
    for _ in range(5):
        dead.abandon(taken(dead)[1])
    with refused(NOT_ALLOWED):
        dead.dead_letter(taken(dead)[1], None, None)
    with refused(NOT_ALLOWED):
        dead.send([message("b")])


def test_a_deferred_message_is_received_by_its_number_only(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(lock_s=30), clock)
    queue.send([message("a"), message("b")])
    queue.defer(taken(queue)[1])
    assert taken(queue)[0] == "b"
    (deferred,) = queue.take_deferred([1])
    assert deferred.lock is not None
    with refused(MESSAGE_NOT_FOUND):
        queue.take_deferred([1])
    queue.abandon(deferred.lock.token)
    assert deferred.state is State.DEFERRED
    assert deferred.delivery_count == 1
    (again,) = queue.take_deferred([1], settled=True)
    assert again is deferred
    with refused(MESSAGE_NOT_FOUND):
        queue.take_deferred([1])


def test_deferred_messages_are_handed_out_all_or_none(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    queue.send([message("a"), message("b")])
    queue.defer(taken(queue)[1])
    with refused(MESSAGE_NOT_FOUND):
        queue.take_deferred([1, 2])
    assert queue.take_deferred([1])[0].lock is not None


def test_a_duplicate_is_dropped_within_the_window_and_taken_after_it(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(duplicate_window_s=60), clock)
    queue.send([message("first", message_id="1"), message("within the batch", message_id="1")])
    queue.complete(taken(queue)[1])
    clock.advance(59.9)
    queue.send([message("late", message_id="1")])
    assert bodies(queue) == []
    clock.advance(0.1)
    queue.send([message("new", message_id="1"), message("other", message_id="2")])
    assert bodies(queue) == ["new", "other"]
    assert (queue.counts["accepted"], queue.counts["duplicates"]) == (3, 2)


def test_a_repetition_does_not_prolong_the_window(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(duplicate_window_s=60), clock)
    queue.send([message(message_id="1")])
    clock.advance(40)
    queue.send([message(message_id="1")])
    clock.advance(20)
    queue.send([message(message_id="1")])
    assert queue.counts["duplicates"] == 1


def test_a_window_may_be_told_of_an_id_again(clock: Clock) -> None:
    window = DuplicateWindow(60, clock)
    window.add("1")
    clock.advance(40)
    window.add("1")
    assert len(window) == 1
    clock.advance(20)
    assert not window.contains("1")
    clock.advance(40)
    assert len(window) == 0


def test_messages_without_an_id_are_never_duplicates(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(duplicate_window_s=60), clock)
    queue.send([message("a"), message("b")])
    assert bodies(queue) == ["a", "b"]


def test_a_scheduled_message_comes_when_it_is_due_under_a_new_number(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    assert queue.send([message("later", due_at=clock.now() + 30), message("now")]) == [1, 2]
    assert taken(queue)[0] == "now"
    assert queue.take() is None
    assert queue.stats()["scheduled"] == 1
    clock.advance(30)
    queue.catch_up()
    stored = queue.take()
    assert stored is not None
    assert (stored.sequence, stored.enqueued_at, stored.state) == (3, clock.now(), State.ACTIVE)


def test_a_scheduled_message_can_be_cancelled_until_it_is_due(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    numbers = queue.send([message("a", due_at=clock.now() + 60), message("b", due_at=clock.now() + 60)])
    queue.cancel(numbers[:1])
    clock.advance(60)
    with refused(MESSAGE_NOT_FOUND):
        queue.cancel(numbers[1:])
    assert bodies(queue) == ["b"]


def test_a_scheduled_message_that_became_a_duplicate_is_dropped_when_due(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(duplicate_window_s=60), clock)
    queue.send([message("scheduled", message_id="1", due_at=clock.now() + 30)])
    queue.send([message("sent", message_id="1")])
    clock.advance(30)
    queue.catch_up()
    assert bodies(queue) == ["sent"]
    assert queue.counts["duplicates"] == 1


@pytest.mark.parametrize(("own_s", "longest_s", "life_s"), [(30, None, 30), (None, 40, 40), (30, 40, 30), (90, 40, 40)])
def test_the_shorter_life_counts(clock: Clock, own_s: float | None, longest_s: float | None, life_s: float) -> None:
    queue = Queue("q", QueueSettings(time_to_live_s=longest_s), clock)
    queue.send([message("a", ttl_s=own_s)])
    clock.advance(life_s - 0.1)
    assert bodies(queue) == ["a"]
    clock.advance(0.1)
    assert bodies(queue) == []
    assert queue.stats()["expired"] == 1


def test_an_expired_message_is_buried_where_that_is_wanted(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(time_to_live_s=40, dead_letter_expired=True), clock)
    queue.send([message("a")])
    clock.advance(40)
    queue.catch_up()
    assert queue.dead_letters is not None
    assert queue.dead_letters.peek(0, 1)[0].content.application_values()["DeadLetterReason"] == "TTLExpiredException"


def test_a_locked_message_outlives_its_time_until_its_lock_ends(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(lock_s=60), clock)
    queue.send([message("a", ttl_s=10), message("b", ttl_s=10)])
    _, first = taken(queue)
    _, second = taken(queue)
    clock.advance(20)
    queue.complete(first)
    queue.abandon(second)
    assert bodies(queue) == []
    assert queue.stats()["expired"] == 1


def test_peeking_shows_every_state_and_changes_nothing(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    queue.send([message("a"), message("b"), message("c", due_at=clock.now() + 9)])
    queue.defer(taken(queue)[1])
    assert [stored.state for stored in queue.peek(0, 9)] == [State.DEFERRED, State.ACTIVE, State.SCHEDULED]
    assert bodies(queue, 1) == ["a"]
    assert [body_of(stored.content) for stored in queue.peek(2, 1)] == ["b"]
    assert taken(queue)[0] == "b"


def test_a_batch_is_taken_as_a_whole_or_not_at_all(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(sessions=True), clock)
    with refused(NOT_ALLOWED):
        queue.send([message("a", session="s"), message("b")])
    assert bodies(queue) == []


def test_what_the_service_limits_is_refused(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    with refused(ARGUMENT):
        queue.send([message(message_id="x" * 129)])
    with refused(ARGUMENT):
        queue.send([message(session="x" * 129)])
    with refused(TOO_LARGE):
        queue.send([message(big="x" * 65_536)])
    queue.send([message(message_id="x" * 128, session="x" * 128, big="x" * 65_000)])


def test_a_full_queue_takes_messages_again_when_others_are_gone(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(max_bytes=2_500), clock)
    queue.send([message("x" * 1_000), message("x" * 1_000)])
    with refused(FULL):
        queue.send([message("x" * 1_000)])
    _, token = taken(queue)
    queue.dead_letter(token, None, None)
    with refused(FULL):
        queue.send([message("x" * 1_000)])
    queue.complete(taken(queue)[1])
    queue.send([message("x" * 1_000)])


def test_more_than_the_rate_is_throttled_until_time_has_passed(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(sends_per_s=10), clock)
    queue.send([message()] * 10)
    with refused(BUSY):
        queue.send([message()])
    clock.advance(0.15)
    queue.send([message()])
    with refused(BUSY):
        queue.send([message()])


def test_watchers_are_told_of_everything_that_may_be_received(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(lock_s=30), clock)
    told: list[str] = []
    queue.watch("w", lambda: told.append("told"))
    queue.send([message("a"), message("b", due_at=clock.now() + 60)])
    assert told == ["told"]
    _, token = taken(queue)
    queue.abandon(token)
    assert len(told) == 2
    taken(queue)
    assert queue.next_at() == clock.now() + 30
    clock.advance(30)
    queue.catch_up()
    assert len(told) == 3
    clock.advance(30)
    queue.catch_up()
    assert len(told) == 4
    _, token = taken(queue)
    queue.release(token)
    assert len(told) == 5
    queue.unwatch("w")
    queue.send([message("c")])
    assert len(told) == 5


def test_whoever_watches_again_is_told_last(clock: Clock) -> None:
    queue = Queue("q", QueueSettings(), clock)
    told: list[str] = []
    for name in ("first", "second", "first"):
        queue.watch(name, lambda name=name: told.append(name))  # type: ignore[misc]
    queue.send([message()])
    assert told == ["second", "first"]


def test_an_unknown_lock_is_refused(clock: Clock) -> None:
    with refused(MESSAGE_LOCK_LOST):
        Queue("q", QueueSettings(), clock).complete(uuid4())


def test_the_broker_is_woken_for_what_is_due_first(clock: Clock) -> None:
    woken: list[float] = []
    queue = Queue("q", QueueSettings(lock_s=30), clock, woken.append)
    queue.send([message(due_at=clock.now() + 60), message(due_at=clock.now() + 90), message(ttl_s=10)])
    assert woken == [clock.now() + 60, clock.now() + 10]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lock_s": 4},
        {"lock_s": 301},
        {"duplicate_window_s": 19},
        {"duplicate_window_s": 604_801},
        {"max_delivery_count": 0},
        {"max_message_bytes": 100 * 1024 * 1024 + 1},
        {"time_to_live_s": 0},
    ],
)
def test_settings_the_service_does_not_allow_are_refused(wrong: dict[str, int]) -> None:
    with refused(ARGUMENT):
        QueueSettings(**wrong)  # type: ignore[arg-type]

"""Whatever is done to a queue, in whatever order: no message is lost, doubled or in two places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.amqp import message
from sandbox.clock import Clock
from sandbox.servicebus.broker.errors import RefusedError
from sandbox.servicebus.broker.queue import Queue
from sandbox.servicebus.broker.settings import QueueSettings

if TYPE_CHECKING:
    from uuid import UUID

VERBS = [
    "send",
    "schedule",
    "take",
    "complete",
    "abandon",
    "release",
    "defer",
    "bury",
    "deferred",
    "renew",
    "cancel",
    "wait",
]
steps = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 5)), max_size=80)
kinds = st.builds(
    QueueSettings,
    lock_s=st.just(30.0),
    max_delivery_count=st.integers(1, 3),
    time_to_live_s=st.none() | st.just(100.0),
    dead_letter_expired=st.booleans(),
    duplicate_window_s=st.none() | st.just(50.0),
)


class Driver:
    """Does steps to a queue, with whatever locks and numbers it has come by."""

    def __init__(self, settings: QueueSettings) -> None:
        self.clock = Clock(lambda: 1_700_000_000.0)
        self.queue = Queue("q", settings, self.clock)
        self.tokens: list[UUID] = []
        self.numbers: list[int] = []
        self.sent = 0

    def do(self, verb: str, number: int) -> None:
        """One step; a refusal is fine."""
        try:
            self._do(verb, number)
        except RefusedError:
            return

    def _do(self, verb: str, number: int) -> None:
        queue = self.queue
        token = self.tokens[number % len(self.tokens)] if self.tokens else None
        match verb:
            case "send" | "schedule":
                due_at = self.clock.now() + 20 * number if verb == "schedule" else None
                self.sent += 1
                self.numbers += queue.send([message(message_id=str(number), due_at=due_at)])
            case "take":
                stored = queue.take(settled=number == 5)
                if stored is not None and stored.lock is not None:
                    self.tokens.append(stored.lock.token)
            case "deferred" if self.numbers:
                (stored,) = queue.take_deferred([self.numbers[number % len(self.numbers)]])
                if stored.lock is not None:
                    self.tokens.append(stored.lock.token)
            case "cancel" if self.numbers:
                queue.cancel([self.numbers[number % len(self.numbers)]])
            case "wait":
                self.clock.advance(7.5 * number)
                queue.catch_up()
            case "bury" if token:
                queue.dead_letter(token, "why", None)
            case "complete" | "abandon" | "release" | "defer" | "renew" if token:
                getattr(queue, verb)(token)


@given(kinds, steps)
@settings(max_examples=300, deadline=None)
def test_every_message_is_somewhere_exactly_once(kind: QueueSettings, done: list[tuple[str, int]]) -> None:
    driver = Driver(kind)
    for verb, number in done:
        driver.do(verb, number)
        now = driver.queue.stats()
        dead = driver.queue.dead_letters
        assert dead is not None
        here = now["active"] + now["deferred"] + now["scheduled"]
        gone = now["completed"] + now["expired"] + now["cancelled"]
        late_duplicates = now["accepted"] + now["duplicates"] - driver.sent
        assert now["accepted"] == here + gone + now["dead_lettered"] + late_duplicates
        assert now["dead_lettered"] == now["dead_letters"]
        assert driver.queue.shelf.bytes == sum(stored.content.size_bytes for stored in driver.queue.peek(0, 1_000))


@given(kinds, steps)
@settings(max_examples=200, deadline=None)
def test_in_the_end_everything_can_be_received(kind: QueueSettings, done: list[tuple[str, int]]) -> None:
    """Once locks have ended and schedules have begun, what is active comes out, each message once."""
    driver = Driver(kind)
    for verb, number in done:
        driver.do(verb, number)
    for _ in range(10):
        driver.do("wait", 5)
    expected = driver.queue.stats()["active"]
    received = []
    while (stored := driver.queue.take()) is not None:
        received.append(stored.sequence)
    assert received == sorted(set(received))
    assert len(received) == expected

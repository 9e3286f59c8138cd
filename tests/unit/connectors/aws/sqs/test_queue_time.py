"""What receives prove about time: never more than is true, and not less for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.aws.sqs.queue_time import LEAST_EMPTY, MOST_SLACK, Counts, QueueTime

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
MARGIN_S = 3.0
LAG_S = 5.0
LONGEST_DELAY_S = 30.0
VISIBILITY_S = 4.0
IN_HAND = Counts(0, 0, 0)


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def seconds(moment: datetime | None) -> float | None:
    """The inverse of `at`."""
    return None if moment is None else (moment - START).total_seconds()


def queue_time() -> QueueTime:
    return QueueTime(
        timedelta(seconds=MARGIN_S),
        counts_lag=timedelta(seconds=LAG_S),
        longest_delay=timedelta(seconds=LONGEST_DELAY_S),
    )


def idle(
    time: QueueTime, begin: int, end: int, counts: Counts = IN_HAND, own: int = 0, unsettled: float | None = None
) -> float | None:
    """A receive and a reading each second that find this; what is claimed then."""
    for second in range(begin, end):
        time.counted(at(second), counts, own)
        time.asking("r")
        time.empty("r", at(second))
    return seconds(time.claim(None if unsettled is None else at(unsettled)))


# --- against a queue that behaves as assumed --------------------------------------------------------------------------


@dataclass
class Sent:
    """A message: when it was sent and can be received, who has taken it when, and when it was handed on."""

    at: float
    visible_at: float
    taken_at: float | None = None
    handed_at: float | None = None


@dataclass
class SimulatedQueue:
    """Hands out in order of sending what could be received for the margin; of the rest, what it likes."""

    messages: list[Sent] = field(default_factory=list)
    now: float = 0.0

    def visible(self) -> list[Sent]:
        return [m for m in self.messages if m.taken_at is None and m.visible_at <= self.now]

    def take(self, most: int, *, generous: bool) -> list[Sent]:
        due = sorted((m for m in self.visible() if m.visible_at <= self.now - MARGIN_S), key=lambda m: m.at)
        other = [m for m in self.visible() if m.visible_at > self.now - MARGIN_S]
        taken = (due + (other if generous else []))[:most]
        for message in taken:
            message.taken_at = self.now
        return taken

    def counts(self, moment: float) -> Counts:
        """As it was at that moment."""
        there = [m for m in self.messages if m.at <= moment and (m.handed_at is None or m.handed_at > moment)]
        taken = sum(m.taken_at is not None and m.taken_at <= moment for m in there)
        delayed = sum(m.visible_at > moment and m.taken_at is None for m in there)
        return Counts(len(there) - taken - delayed, taken, delayed)


steps = st.lists(
    st.tuples(
        st.floats(0, 4),
        st.one_of(
            st.tuples(st.just("send"), st.sampled_from([0.0, 0.0, 1.0, 8.0, LONGEST_DELAY_S])),
            st.tuples(st.just("ask"), st.sampled_from("ab"), st.integers(1, 4), st.booleans()),
            st.tuples(st.just("answer"), st.sampled_from("ab")),
            st.tuples(st.just("fail"), st.sampled_from("ab")),
            st.tuples(st.just("poll"), st.integers(1, 30), st.integers(1, 4), st.booleans()),
            st.tuples(st.just("count"), st.floats(0, LAG_S)),
            st.tuples(st.just("steal"), st.none()),
        ),
    ),
    max_size=60,
)


class Run:
    """Two receivers, of whose receives one may be under way each, and somebody who takes messages for ever."""

    def __init__(self) -> None:
        self.queue = SimulatedQueue()
        self.time = queue_time()
        self.under_way: dict[str, tuple[float, list[Sent]]] = {}

    def step(self, what: tuple[object, ...]) -> None:
        match what:
            case ("send", float(delay)):
                self.queue.messages.append(Sent(self.queue.now, self.queue.now + delay))
            case ("ask", str(by), int(most), bool(generous)) if by not in self.under_way:
                self.time.asking(by)
                self.under_way[by] = self.queue.now, self.queue.take(most, generous=generous)
            case ("answer", str(by)) if by in self.under_way:
                self.answer(by)
            case ("fail", str(by)) if by in self.under_way:
                self.fail(by)
            case ("poll", int(times), int(most), bool(generous)):
                for _ in range(times):
                    self.step(("ask", "a", most, generous))
                    self.step(("answer", "a"))
                    self.step(("count", 0.0))
                    self.queue.now += 1.0
            case ("count", float(lag)):
                self.time.counted(at(self.queue.now), self.queue.counts(self.queue.now - lag), 0)
            case ("steal", None):
                for message in self.queue.visible()[:1]:
                    message.taken_at = self.queue.now

    def answer(self, by: str) -> None:
        asked_at, taken = self.under_way.pop(by)
        for message in taken:
            message.handed_at = self.queue.now
        if taken:
            late = self.time.received(by, [at(m.at) for m in taken], at(asked_at))
            assert late == 0, "what was claimed is true, so nothing is late"
        else:
            self.time.empty(by, at(asked_at))

    def fail(self, by: str) -> None:
        """What it took comes back when its visibility timeout ends."""
        asked_at, taken = self.under_way.pop(by)
        for message in taken:
            message.taken_at, message.visible_at = None, asked_at + VISIBILITY_S
        self.time.unclear(by, at(self.queue.now + VISIBILITY_S))
        self.time.left(by)


@settings(max_examples=400, deadline=None)
@given(steps)
@example([(0.0, ("send", 8.0)), (0.0, ("poll", 9, 1, False)), (7.0, ("count", 0.0))])  # nobody asks any more
def test_the_claim_is_never_later_than_a_message_that_was_not_handed_on(
    script: list[tuple[float, tuple[object, ...]]],
) -> None:
    """Whether it is delayed, in somebody else's hands, or was brought by a receive that nobody has heard of yet."""
    run = Run()
    for pause, what in script:
        run.queue.now += pause
        run.step(what)
        claim = seconds(run.time.claim(None))
        missing = [m.at for m in run.queue.messages if m.handed_at is None]
        assert claim is None or claim <= min([*missing, run.queue.now])


@pytest.mark.parametrize("sent", [0.0, 60.0])
def test_the_claim_is_never_later_than_a_message_that_others_have_not_settled(sent: float) -> None:
    time = queue_time()
    for second in range(200):
        idle(time, second, second + 1, unsettled=sent)
    assert seconds(time.claimed) == sent


# --- it moves on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pause_s", [0.25, 1.0, 20.0])
def test_an_idle_queue_follows_the_clock(pause_s: float) -> None:
    time, now = queue_time(), 0.0
    claims = []
    for _ in range(400):
        now += pause_s
        time.counted(at(now), IN_HAND, 0)
        time.asking("r")
        time.empty("r", at(now))
        claims.append(seconds(time.claim(None)))
    claim = claims[-1]
    assert claim is not None
    behind_s = 2 * LAG_S + MARGIN_S + 2 * max(1.0, pause_s)
    assert now - behind_s <= claim < now - LAG_S
    known = [claim for claim in claims if claim is not None]
    assert all(one <= other for one, other in pairwise(known))
    assert len(time._empty) < 50
    assert len(time._undelayed) < 50


def test_a_busy_queue_follows_its_messages() -> None:
    time, now = queue_time(), 0.0
    for number in range(4000):
        now = number * 0.05
        if number % 20 == 0:
            time.counted(at(now), Counts(5, 10, 0), 10)
        time.asking("r")
        assert time.received("r", [at(now - 1)], at(now)) == 0
    claim = seconds(time.claim(None))
    assert claim is not None
    assert now - 2 * LAG_S - MARGIN_S - 3 <= claim <= now - 1 - MARGIN_S
    assert len(time._recent) < 10


def test_a_backlog_shows_as_lag() -> None:
    time = queue_time()
    for second in range(100):
        time.counted(at(7200 + second), Counts(1000, 0, 0), 0)
        time.asking("r")
        time.received("r", [at(second)], at(7200 + second))
    assert seconds(time.claim(None)) == pytest.approx(99 - 2 * MARGIN_S, abs=2)


# --- what holds it ----------------------------------------------------------------------------------------------------


def test_delayed_messages_hold_it_but_not_for_longer_than_a_message_can_be_delayed() -> None:
    time = queue_time()
    before = idle(time, 0, 100)
    delayed = Counts(0, 0, 1)
    held = idle(time, 100, 120, delayed)
    assert before is not None
    assert held is not None
    assert held <= 99 - LAG_S, "a message may be delayed since then"
    assert idle(time, 120, 130, delayed) == held
    behind_s = LONGEST_DELAY_S + MARGIN_S + LAG_S
    assert idle(time, 130, 300, delayed) == pytest.approx(299 - behind_s)
    assert idle(time, 300, 400) == pytest.approx(399 - 2 * LAG_S - MARGIN_S, abs=2)


def test_messages_in_flight_at_somebody_elses_hold_it() -> None:
    time = queue_time()
    before = idle(time, 0, 100)
    assert idle(time, 100, 1000, Counts(0, 3, 0), own=2) == before
    assert idle(time, 1000, 1001) == before, "what came back may not have been received yet"
    after = idle(time, 1001, 1100, Counts(0, 3, 0), own=3)
    assert after is not None
    assert after > 1000


def test_before_the_counts_are_known_nothing_is_claimed() -> None:
    time = queue_time()
    for second in range(100):
        time.asking("r")
        time.empty("r", at(second))
    assert time.claim(None) is None


def test_a_receive_under_way_holds_it() -> None:
    """It may have taken a message of any age."""
    time = queue_time()
    time.asking("slow")
    assert idle(time, 0, 100) is None
    time.empty("slow", at(0))
    assert time.claim(None) is not None


def test_a_receive_that_failed_holds_it_until_what_it_may_have_taken_can_be_received() -> None:
    """Meanwhile others find nothing, which proves nothing."""
    time = queue_time()
    idle(time, 0, 100)
    time.asking("failing")
    time.unclear("failing", at(200))
    time.left("failing")
    held = idle(time, 100, 200)
    assert held is not None
    assert held <= 99 - LAG_S - MARGIN_S
    after = idle(time, 200, 300)
    assert after is not None
    assert after > 200


def test_a_few_empty_receives_prove_nothing() -> None:
    time = queue_time()
    time.counted(at(0), IN_HAND, 0)
    for second in (10, 20, 30)[: LEAST_EMPTY - 1]:
        time.asking("r")
        time.empty("r", at(second))
        time.counted(at(second + 100), IN_HAND, 0)
    assert time.claim(None) is None


# --- what contradicts it ----------------------------------------------------------------------------------------------


def test_a_late_message_is_counted_and_less_is_claimed_from_then_on() -> None:
    time = queue_time()
    claim = idle(time, 0, 100)
    assert claim is not None
    time.asking("r")
    assert time.received("r", [at(claim - 20), at(claim + 1)], at(100)) == 1
    after = idle(time, 101, 300)
    assert after == pytest.approx(299 - 2 * (MARGIN_S + 20), abs=2)


@settings(max_examples=25)
@given(st.lists(st.floats(1, 40), min_size=1, max_size=30))
def test_messages_widen_the_margin_by_what_they_were_late_however_many_they_are(late_s: list[float]) -> None:
    """A backlog of late messages contradicts one claim again and again, and shows no more than its latest one."""
    time = queue_time()
    claim = idle(time, 0, 100)
    assert claim is not None
    for each_s in late_s:
        assert time.received("r", [at(claim - each_s)], at(100)) == 1
    after = idle(time, 101, 400)
    assert after is not None
    assert 399 - 2 * (MARGIN_S + max(late_s)) - LAG_S - 2 <= after <= 399 - MARGIN_S - max(late_s)


def test_the_margin_grows_only_so_far() -> None:
    time = queue_time()
    idle(time, 0, 100)
    for _ in range(50):
        time.received("r", [START - timedelta(days=3)], at(100))
    most_s = MOST_SLACK.total_seconds()
    after = idle(time, 100, 3000)
    assert after is not None
    assert after >= 2999 - 2 * LAG_S - MARGIN_S - 2 * most_s - 2


def test_the_claim_of_an_earlier_run_counts() -> None:
    time = queue_time()
    time.resume(at(50))
    time.resume(at(70))
    time.resume(None)
    assert seconds(time.claim(None)) == 50
    assert time.received("r", [at(40)], at(100)) == 1


def test_messages_that_are_known_to_come_again_are_not_late_but_end_a_run_of_empty_receives() -> None:
    time = queue_time()
    idle(time, 0, 100)
    assert time.received("r", [], at(100)) == 0
    proven = 99 - LAG_S - MARGIN_S
    assert idle(time, 101, 106) == proven
    after = idle(time, 106, 110)
    assert after is not None
    assert after > proven

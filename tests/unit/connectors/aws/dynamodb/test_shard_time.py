"""What pages prove about time: never more than is true, and not less for ever."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.aws.dynamodb.shard_time import LEAST_EMPTY_PAGES, LEAST_EMPTY_PAGES_BEHIND, MOST_SLACK, ShardTime
from fakes.streams import MOST_EMPTY_PAGES

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
MARGIN_S = 3.0


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def rounded(seconds: float) -> datetime:
    """As the service tells a commit time."""
    return at(int(seconds))


def seconds(moment: datetime | None) -> float | None:
    """The inverse of `at`."""
    return None if moment is None else (moment - START).total_seconds()


@dataclass(frozen=True)
class Commit:
    """A record: when it was committed, and when it can be read."""

    at: float
    visible_at: float


@st.composite
def shards(draw: st.DrawFn) -> list[Commit]:
    """Commits in order; each shows within the margin, and not before the one ahead of it."""
    commits: list[Commit] = []
    for gap in draw(st.lists(st.floats(0, 6), max_size=15)):
        moment = (commits[-1].at if commits else 0.0) + gap
        visible_at = moment + draw(st.floats(0, MARGIN_S))
        commits.append(Commit(moment, max(visible_at, commits[-1].visible_at if commits else 0.0)))
    return commits


polls = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4), st.booleans()), max_size=60)
"""Pause before a page, how many records it takes at most, and whether the service would rather answer without any."""


@given(shards(), polls, st.floats(-1, 0))
def test_the_claim_is_never_later_than_a_record_not_handed_out(
    commits: list[Commit], schedule: list[tuple[float, int, bool]], error_s: float
) -> None:
    """`error_s`: the service's clock is known to be at least so much behind what it is."""
    time, now, read, refused = ShardTime(None, timedelta(seconds=MARGIN_S)), 0.0, 0, 0
    for pause, most, refuses in schedule:
        now += pause
        page = [c for c in commits[read:] if c.visible_at <= now][:most]
        refused = refused + 1 if page and refuses and refused < MOST_EMPTY_PAGES else 0
        page = [] if refused else page
        read += len(page)
        if page:
            assert time.records([rounded(c.at) for c in page], at(now + error_s)) == 0, (
                "what was claimed is true, so nothing is late"
            )
        else:
            time.empty(at(now + error_s))
        claim = seconds(time.claim)
        assert claim is None or read == len(commits) or claim <= commits[read].at


def test_nothing_is_claimed_before_anything_was_seen() -> None:
    time = ShardTime(None, timedelta(seconds=MARGIN_S))
    time.empty(at(0))
    time.empty(at(10))
    assert time.claim is None


def test_a_record_proves_its_rounded_commit_time() -> None:
    time = ShardTime(None, timedelta(seconds=MARGIN_S))
    assert time.records([at(1), at(4)], at(4)) == 0
    assert seconds(time.claim) == 4


@pytest.mark.parametrize("pause_s", [0.25, 1.0, 60.0])
def test_an_idle_shard_follows_the_clock(pause_s: float) -> None:
    time, now = ShardTime(at(-500), timedelta(seconds=MARGIN_S)), 0.0
    for _ in range(100):
        now += pause_s
        time.empty(at(now))
    claim = seconds(time.claim)
    assert claim is not None
    assert LEAST_EMPTY_PAGES_BEHIND < 100
    run_s = max(MARGIN_S, (LEAST_EMPTY_PAGES - 1) * pause_s)
    assert now - run_s - MARGIN_S - pause_s <= claim <= now - MARGIN_S


def test_far_behind_a_few_empty_pages_prove_nothing() -> None:
    """A backlog has gaps, and a shard answers with empty pages for them: the next record may be hours old."""
    time = ShardTime(None, timedelta(seconds=MARGIN_S))
    time.records([at(0)], at(7200))
    for page in range(LEAST_EMPTY_PAGES_BEHIND - 1):
        time.empty(at(7200 + page))
    assert seconds(time.claim) == 0
    time.empty(at(7200 + LEAST_EMPTY_PAGES_BEHIND))
    assert seconds(time.claim) == 7200 - MARGIN_S


def test_near_the_end_few_are_enough() -> None:
    """A record that was read soon after it was committed shows that there is no backlog."""
    time = ShardTime(None, timedelta(seconds=MARGIN_S))
    time.records([at(7200)], at(7201))
    for page in range(LEAST_EMPTY_PAGES):
        time.empty(at(7300 + page * MARGIN_S))
    assert seconds(time.claim) == 7300 - MARGIN_S


def test_data_between_empty_pages_begins_a_new_run() -> None:
    time = ShardTime(None, timedelta(seconds=MARGIN_S))
    for moment in (0, 1, 2):
        time.empty(at(moment))
    time.records([at(1)], at(1))
    for moment in (3, 4, 5):
        time.empty(at(moment))
    assert seconds(time.claim) == 1
    time.empty(at(6))
    assert seconds(time.claim) == 1, "the run began at 3, less the margin"
    time.empty(at(8))
    assert seconds(time.claim) == 2


def test_the_claim_never_moves_back() -> None:
    time = ShardTime(at(100), timedelta(seconds=MARGIN_S))
    time.records([at(50)], at(50))
    for moment in range(60, 70):
        time.empty(at(moment))
    assert seconds(time.claim) == 100


@pytest.mark.parametrize(("committed", "late"), [(98.0, 1), (99.0, 1), (99.5, 0), (100.0, 0)])
def test_late_is_what_is_surely_older_than_claimed(committed: float, late: int) -> None:
    """A commit time of 99 may be anything before 100, so it contradicts a claim of 100."""
    assert ShardTime(at(100), timedelta(seconds=MARGIN_S)).records([at(committed)], at(committed)) == late


def test_a_late_record_slackens_every_later_claim() -> None:
    time = ShardTime(at(100), timedelta(seconds=MARGIN_S))
    assert time.records([at(80), at(90), at(100)], at(100)) == 2
    time.records([at(200)], at(200))
    assert seconds(time.claim) == 180
    for moment in range(300, 340):
        time.empty(at(moment))
    assert seconds(time.claim) == 339 - 2 * (MARGIN_S + 20)


def test_slack_grows_with_the_latest_record_up_to_a_bound() -> None:
    """However many pages contradict one claim, they show no more than that."""
    time = ShardTime(at(100), timedelta(seconds=MARGIN_S))
    for _ in range(30):
        time.records([at(95)], at(95))
    time.records([at(5000)], at(5000))
    assert time.claim == at(4995)
    time.records([at(4993)], at(5000))
    time.records([at(6000)], at(6000))
    assert time.claim == at(5993), "on top of the slack with which the claim was made"
    time.records([at(100)], at(6000))
    time.records([at(9000)], at(9000))
    assert time.claim == at(9000) - MOST_SLACK

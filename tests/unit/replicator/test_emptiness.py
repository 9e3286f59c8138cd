"""Promises of readings that are only approximate: one of them proves nothing, several in a row over a while do."""

import pytest

from replicator.emptiness import LEAST_READINGS, Emptiness


def after(*readings: bool, span_s: float = 0.0, every_s: float = 1.0) -> Emptiness:
    """What has taken these readings, at their moments."""
    emptiness = Emptiness(span_s)
    for number, is_empty in enumerate(readings):
        emptiness.asked(number * every_s)
        emptiness.answered(number * every_s, is_empty=is_empty)
    return emptiness


def test_as_many_readings_in_a_row_are_needed_however_short_the_span() -> None:
    empty = [True] * LEAST_READINGS
    assert after(*empty).is_shown
    assert not after(*empty[1:]).is_shown
    assert not after(*empty[1:], False, True).is_shown
    assert not after(*empty, False).is_shown, "and it is taken back"


def test_the_span_is_needed_however_many_readings_there_were() -> None:
    assert not after(*[True] * 10, span_s=5.0, every_s=0.5).is_shown
    assert after(*[True] * 11, span_s=5.0, every_s=0.5).is_shown
    assert not after(True, True, True, False, True, True, True, span_s=5.0).is_shown, "counted from the last message"


@pytest.mark.parametrize(("span_s", "interval_s"), [(60.0, 1.0), (0.3, 0.1), (0.0, 0.0)])
def test_a_reading_is_due_so_often_that_several_fit_into_the_span(span_s: float, interval_s: float) -> None:
    emptiness = Emptiness(span_s)
    assert emptiness.is_due(100.0)
    emptiness.asked(100.0)
    assert emptiness.is_due(100.0 + interval_s + 0.001)
    assert interval_s == 0.0 or not emptiness.is_due(100.0 + interval_s / 2)

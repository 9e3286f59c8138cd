"""A bucket is divided by what was listed of it: evenly, within little memory, and never by half of what there is."""

from collections.abc import Sequence

import pytest

from connectors.aws.s3.division import MOST_MARKS, Division, Marks
from connectors.aws.s3.ranges import KeyRange, cut


def marks_of(keys: Sequence[str], page: int) -> Marks:
    """As a listing takes them."""
    marks = Marks()
    for start in range(0, len(keys), page):
        marks.add(keys[start : start + page][-1], len(keys[start : start + page]))
    return marks


def numbered(first: int, last: int) -> list[str]:
    return [f"{number:06}" for number in range(first, last)]


@pytest.mark.parametrize("count", [1, 999, 1001, 31_000, 33_000, 300_000])
@pytest.mark.parametrize("parts", [1, 3, 16])
def test_what_one_range_held_is_divided_evenly(count: int, parts: int) -> None:
    keys = numbered(0, count)
    division = Division([])
    marks = marks_of(keys, 1000)
    assert len(marks.taken) < MOST_MARKS
    division.listed(KeyRange(), marks)
    evened = division.evened(parts)
    assert evened is not None
    sizes = [sum(key in keys_of for key in keys) for keys_of in evened.ranges]
    assert len(sizes) <= min(parts, -(-count // 1000))
    assert sum(sizes) == count
    assert 0 not in sizes
    assert max(sizes) <= max(1000, 2.5 * count / parts)


def test_ranges_that_grew_alone_are_divided_further_and_small_ones_put_together() -> None:
    division = Division(["000010", "000020"])
    for keys, (first, last) in zip(division.ranges, [(0, 11), (11, 21), (21, 9000)], strict=True):
        division.listed(keys, marks_of(numbered(first, last), 1000))
    evened = division.evened(3)
    assert evened is not None
    assert evened.ranges == cut(["003020", "006020"])


def test_nothing_is_known_before_each_range_was_listed() -> None:
    division = Division(["m"])
    first, second = division.ranges
    assert division.evened(2) is None
    division.listed(first, Marks())
    division.listed(KeyRange("x"), Marks())
    assert division.evened(2) is None, "a range of another division tells nothing"
    division.listed(second, Marks())
    evened = division.evened(2)
    assert evened is not None
    assert evened.ranges == (KeyRange(),)


@pytest.mark.parametrize(
    ("counts", "bounds"),
    [({"a": 900, "b": 600, "c": 500}, ["a"]), ({"a": 1, "b": 3000}, ["a"]), ({"a": 3000, "b": 1}, ["a"])],
)
def test_a_bound_is_the_nearest_mark_and_never_the_last_key(counts: dict[str, int], bounds: list[str]) -> None:
    division, marks = Division([]), Marks()
    for last, count in counts.items():
        marks.add(last, count)
    division.listed(KeyRange(), marks)
    evened = division.evened(3 if "c" not in counts else 2)
    assert evened is not None
    assert evened.ranges == cut(bounds)

"""Ranges hold every key there may ever be exactly once, and survive being written down."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.aws.s3.ranges import LONGEST_KEY_BYTES, KeyRange, cut, filled_up, just_before, spread
from sandbox.workload import object_keys

AWKWARD = [key for _, key in object_keys()]

keys = st.sampled_from(AWKWARD) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(st.lists(keys, max_size=8), st.lists(keys, min_size=1, max_size=20))
def test_every_key_is_in_exactly_one_range(bounds: list[str], looked_for: list[str]) -> None:
    ranges = cut(bounds)
    for key in [*looked_for, *bounds]:
        assert sum(key in keys for keys in ranges) == 1


@given(st.lists(keys, max_size=8))
def test_a_range_comes_back_from_the_id_of_its_partition(bounds: list[str]) -> None:
    ranges = cut(bounds)
    partitions = [keys.partition() for keys in ranges]
    assert tuple(KeyRange.of(partition) for partition in partitions) == ranges
    assert len({partition.id for partition in partitions}) == len(ranges)
    assert all(partition.id.isascii() and partition.id.isprintable() and partition.bounded for partition in partitions)


@given(keys, keys)
def test_order_is_that_of_utf_8(one: str, other: str) -> None:
    assert (one < other) == (one.encode() < other.encode())


@given(keys)
def test_just_before_is_less_and_near(key: str) -> None:
    before = just_before(key)
    assert before < key
    assert len(before.encode()) <= LONGEST_KEY_BYTES
    if before and not key.endswith("\x00"):
        assert before[: len(key) - 1] == key[:-1]
        assert len(key) == LONGEST_KEY_BYTES or before > key[:-1]


def test_the_first_key_of_all_has_nothing_before_it() -> None:
    assert just_before("\x00") == ""
    assert just_before("a\x00") == "a"
    assert just_before("\ue000")[0] == "\ud7ff"


@given(keys)
def test_what_begins_with_a_key_comes_before_it_is_filled_up(key: str) -> None:
    assert key <= filled_up(key)
    longer = (key + "x")[:LONGEST_KEY_BYTES]
    assert longer <= filled_up(key) or len(longer.encode()) > LONGEST_KEY_BYTES - 4


@given(st.lists(keys, max_size=40), st.integers(1, 12))
def test_bounds_are_places_and_no_more_than_wanted(places: list[str], parts: int) -> None:
    bounds = spread(places, parts)
    assert set(bounds) <= set(places)
    assert len(cut(bounds)) <= parts
    assert bounds == sorted(bounds)


def test_places_are_divided_evenly() -> None:
    assert spread([str(n) for n in range(8)], 4) == ["2", "4", "6"]
    assert spread(["only"], 4) == []
    assert spread([], 4) == []

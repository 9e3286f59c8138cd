"""Promises of the spread: all end up with as many as the others, or one more, and nothing moves that need not."""

from hypothesis import given
from hypothesis import strategies as st

from replicator.replicas.spread import surplus

COUNTS = st.dictionaries(st.text(max_size=3), st.integers(0, 50), max_size=8)


@given(COUNTS)
def test_what_is_given_away_makes_all_alike(counts: dict[str, int]) -> None:
    given_away = surplus(counts)
    left = {name: count - given_away.get(name, 0) for name, count in counts.items()}
    for _ in range(sum(given_away.values())):
        poorest = min(left, key=lambda name: left[name])
        left[poorest] += 1
    assert sum(left.values()) == sum(counts.values())
    assert not left or max(left.values()) - min(left.values()) <= 1


@given(COUNTS)
def test_nothing_moves_where_all_are_alike(counts: dict[str, int]) -> None:
    alike = not counts or max(counts.values()) - min(counts.values()) <= 1
    assert (surplus(counts) == {}) == alike
    assert all(count > 0 for count in surplus(counts).values())

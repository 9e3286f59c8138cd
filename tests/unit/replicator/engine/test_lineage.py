"""Promises of the lineage: children after parents, and no claim about time that a partition has not earned."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engine.lineage import Lineage
from replicator.errors import PositionLostError
from replicator.model import Checkpoint, Partition

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def shard(id_: str, *parents: str) -> Partition:
    return Partition(id_, bounded=False, parents=parents)


def ids(checkpoints: Iterable[Checkpoint]) -> set[str]:
    return {c.partition.id for c in checkpoints}


def finish(lineage: Lineage, id_: str, claim: datetime | None = None) -> None:
    current = lineage.checkpoints[id_]
    lineage.update(replace(current, finished=True, replicated_through=claim or current.replicated_through))


def reach(lineage: Lineage, id_: str, claim: datetime) -> None:
    lineage.update(replace(lineage.checkpoints[id_], replicated_through=claim))


def test_a_child_starts_only_when_its_parent_is_finished() -> None:
    lineage = Lineage()
    assert ids(lineage.discover([shard("child", "parent"), shard("parent")])) == {"parent", "child"}
    assert ids(lineage.startable()) == {"parent"}
    finish(lineage, "parent")
    assert ids(lineage.startable()) == {"child"}


def test_a_merged_partition_waits_for_both_parents() -> None:
    lineage = Lineage()
    lineage.discover([shard("merged", "a", "b"), shard("a"), shard("b")])
    finish(lineage, "a")
    assert ids(lineage.startable()) == {"b"}
    finish(lineage, "b")
    assert ids(lineage.startable()) == {"merged"}


def test_a_listing_is_new_only_once() -> None:
    lineage = Lineage()
    listing = [shard("a"), shard("b", "a")]
    assert len(lineage.discover(listing)) == 2
    assert lineage.discover(listing) == []
    assert Lineage(lineage.checkpoints.values()).discover(listing) == []


def test_parents_trimmed_before_the_first_listing_ended_before_the_copy() -> None:
    lineage = Lineage()
    (checkpoint,) = lineage.discover([shard("child", "trimmed")])
    assert checkpoint.partition.parents == ()
    assert ids(lineage.startable()) == {"child"}


def test_parents_trimmed_later_were_never_read() -> None:
    lineage = Lineage()
    lineage.discover([shard("a")])
    with pytest.raises(PositionLostError, match="never seen"):
        lineage.discover([shard("a"), shard("late", "never seen")])


def test_parents_trimmed_after_an_empty_first_listing_were_never_read() -> None:
    """The log was empty when the copy began; before the daemon looked again a shard had come, grown and gone."""
    lineage = Lineage()
    lineage.discover([])
    with pytest.raises(PositionLostError):
        lineage.discover([shard("late", "never seen")])


def test_another_log_means_that_changes_were_not_recorded() -> None:
    lineage = Lineage()
    lineage.discover([replace(shard("a"), log="stream 1")])
    with pytest.raises(PositionLostError, match="stream 2"):
        lineage.discover([replace(shard("z"), log="stream 2")])


def test_bounded_partitions_are_none_of_its_business() -> None:
    lineage = Lineage([Checkpoint(Partition("scan-0", bounded=True))])
    assert lineage.checkpoints == {}
    (checkpoint,) = lineage.discover([shard("child", "trimmed")])
    assert checkpoint.partition.parents == (), "and do not make a listing a later one"


def test_one_unknown_partition_makes_time_unknown() -> None:
    lineage = Lineage()
    assert lineage.replicated_through() is None
    lineage.discover([shard("a"), shard("b")])
    reach(lineage, "a", at(5))
    assert lineage.replicated_through() is None
    reach(lineage, "b", at(3))
    assert lineage.replicated_through() == at(3)


def test_a_finished_partition_answers_for_time_until_its_children_are_surely_known() -> None:
    """One of two children is listed late: time must stand still, or the late one's changes would be claimed."""
    lineage = Lineage()
    lineage.discover([shard("parent")])
    finish(lineage, "parent", at(10))
    lineage.discover([shard("parent"), shard("early", "parent")])
    reach(lineage, "early", at(50))
    assert lineage.settled([]) == []
    assert lineage.replicated_through() == at(10)

    lineage.discover([shard("parent"), shard("early", "parent"), shard("late", "parent")])
    assert ids(lineage.settled(["parent"])) == {"parent"}
    assert lineage.replicated_through() == at(10), "inherited by the late one"
    reach(lineage, "late", at(40))
    assert lineage.replicated_through() == at(40)


def test_a_finished_partition_without_any_child_holds_time_for_ever() -> None:
    lineage = Lineage()
    lineage.discover([shard("last")])
    finish(lineage, "last", at(10))
    assert lineage.settled(["last"]) == []
    assert lineage.replicated_through() == at(10)


def test_an_unfinished_partition_never_settles() -> None:
    lineage = Lineage()
    lineage.discover([shard("a"), shard("b", "a")])
    assert lineage.settled(["a"]) == []


def test_a_child_inherits_the_least_of_what_its_parents_proved() -> None:
    lineage = Lineage()
    lineage.discover([shard("a"), shard("b"), shard("merged", "a", "b")])
    finish(lineage, "a", at(10))
    assert lineage.claim(lineage.checkpoints["merged"]) is None, "the other parent has proved nothing"
    finish(lineage, "b", at(7))
    assert lineage.claim(lineage.checkpoints["merged"]) == at(7)
    reach(lineage, "merged", at(5))
    assert lineage.claim(lineage.checkpoints["merged"]) == at(7), "never below what it inherits"


def test_what_is_still_leaned_on_or_listed_is_not_forgotten() -> None:
    lineage = Lineage()
    family = [shard("parent"), shard("child", "parent")]
    lineage.discover(family)
    finish(lineage, "parent", at(10))
    lineage.settled(["parent"])
    gone = family[1:]
    assert lineage.forgettable(gone) == [], "the child is being read"
    reach(lineage, "child", at(20))
    assert lineage.forgettable(gone) == []
    finish(lineage, "child")
    assert lineage.forgettable(family) == []
    assert lineage.forgettable(gone) == ["parent"]
    lineage.forget(["parent"])
    assert lineage.replicated_through() == at(20)


class Watched(dict[str, Checkpoint]):
    """Knows how often a partition was looked up."""

    visits = 0

    def __getitem__(self, id_: str) -> Checkpoint:
        self.visits += 1
        return super().__getitem__(id_)


@given(st.integers(0, 12), st.randoms(use_true_random=False))
def test_a_claim_visits_each_line_of_descent_once_and_is_what_its_definition_says(
    generations: int, rng: random.Random
) -> None:
    """Splits and merges in turn make diamonds: the ways to an ancestor double with each generation."""
    lineage, parents = Lineage(), ["0"]
    lineage.discover(family := [shard("0")])
    for generation in range(generations):
        children = [shard(f"{generation}-{i}", *parents) for i in range(2)]
        family += children
        parents = [c.id for c in children]
    lineage.discover(family)
    for id_ in rng.sample([p.id for p in family], len(family) // 2):
        reach(lineage, id_, at(rng.randrange(100)))
    lineage.checkpoints = watched = Watched(lineage.checkpoints)
    lines = sum(len(p.parents) for p in family)
    whole, visits = lineage.replicated_through(), watched.visits
    assert visits <= lines
    claims: dict[str, datetime | None] = {}
    for partition in family:  # parents come first
        watched.visits = 0
        found = lineage.claim(dict(watched)[partition.id])
        assert watched.visits <= lines
        claims[partition.id] = found
        inherited = [claims[p] for p in partition.parents]
        floor = None if None in inherited else min((c for c in inherited if c), default=None)
        own = dict(watched)[partition.id].replicated_through
        assert found == max((c for c in (own, floor) if c), default=None)
    known = [c for c in claims.values() if c]
    assert whole == (min(known) if len(known) == len(family) else None)


@given(st.integers(1, 30), st.randoms(use_true_random=False))
def test_over_a_long_life_order_and_time_hold_and_memory_does_not_grow(generations: int, rng: random.Random) -> None:
    """Splits and merges for ever, parents vanishing once finished; after each step a restart from what was saved."""
    lineage, listed, alive, clock = Lineage(), [shard("0")], ["0"], 0
    lineage.discover(listed)
    reach(lineage, "0", at(0))
    counter, finished_order = 0, list[str]()
    for _ in range(generations):
        merging = len(alive) > 1 and rng.random() < 0.5
        parents = [alive.pop(rng.randrange(len(alive))) for _ in range(2 if merging else 1)]
        children = []
        for _ in range(1 if merging else rng.choice([1, 2])):
            counter += 1
            children.append(shard(str(counter), *parents))
        alive += [c.id for c in children]
        listed += children
        lineage.discover(rng.sample(listed, len(listed)))
        before = lineage.replicated_through()
        for parent in parents:
            assert parent in ids(lineage.startable())
            clock += 1
            finish(lineage, parent, at(clock))
            finished_order.append(parent)
        assert {c.id for c in children} <= ids(lineage.startable())
        lineage.settled(parents)
        for child in children:
            claim = lineage.claim(lineage.checkpoints[child.id])
            assert claim is not None, "inherited"
            reach(lineage, child.id, claim)
        listed = [p for p in listed if p.id not in finished_order[:-3]]
        lineage.forget(lineage.forgettable(listed))
        lineage = Lineage(lineage.checkpoints.values())
        after = lineage.replicated_through()
        assert before is not None
        assert after is not None
        assert after >= before
        assert after == min(c.replicated_through or T0 for c in lineage.checkpoints.values() if not c.succeeded)
    assert len(lineage.checkpoints) <= 4 * len(alive) + 6


@pytest.mark.parametrize("chain", [["a", "b", "c"], ["a", "b", "c", "d", "e"]])
def test_a_partition_that_was_forgotten_is_not_found_again(chain: list[str]) -> None:
    """A listing may be older than the one that no longer named it; its changes have long been overtaken."""
    shards = [shard(id_, *before) for id_, before in zip(chain, [(), *([c] for c in chain)], strict=False)]
    lineage = Lineage()
    lineage.discover(shards)
    for id_ in chain[:-1]:
        finish(lineage, id_, at(1))
    lineage.settled(chain[:-1])
    reach(lineage, chain[-1], at(2))
    forgotten = lineage.forgettable(shards[-2:])
    assert forgotten == chain[:-2]
    lineage.forget(forgotten)
    assert lineage.discover(shards) == []
    assert ids(lineage.startable()) == {chain[-1]}


def test_a_forgotten_partition_with_a_parent_long_gone_is_no_lost_position() -> None:
    """It names what was trimmed before we ever listed."""
    shards = [shard("b", "a"), shard("c", "b"), shard("d", "c")]
    lineage = Lineage()
    lineage.discover(shards)
    for id_ in "bc":
        finish(lineage, id_, at(1))
    lineage.settled("bc")
    reach(lineage, "d", at(2))
    lineage.forget(lineage.forgettable(shards[1:]))
    assert lineage.discover(shards) == []

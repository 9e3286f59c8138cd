"""Promises of a second look: what differs counts only when neither side has changed since all should have come."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from fakes.rig import NAME, Rig
from fakes.virtual import in_virtual_time
from replicator.documents import Document
from replicator.engine.comparing import Pair, Sides
from replicator.engine.doubting import MOST_TRIES, Doubting
from replicator.engine.guards import MARGIN
from replicator.engine.rounds import Ask, Round
from replicator.model import Observed

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = timedelta(days=400)
"""Beyond every clock of the fakes."""


class Shown(Sides[Document]):
    """What both sides show is in `pairs`, one after the other, the last one for ever."""

    def __init__(self, *pairs: Pair) -> None:
        self.pairs = list(pairs)

    async def of_keys(self, keys: Sequence[str]) -> list[Pair]:
        return [self.pairs.pop(0) if len(self.pairs) > 1 else self.pairs[0] for _ in keys]


def shown(source: str | None, target: str | None, guard: str | None = "e1") -> Pair:
    return Pair("k", source, "", Observed(guard if target else None, target))


def doubting(
    sides: Sides[Document], *, repair: bool = False, due_in: timedelta = -LATER
) -> tuple[Doubting[Document], Round, Rig]:
    """Whatever is due is due at once; mending only counts."""
    rig = Rig()
    round_ = Round(T0, Ask(repair=repair))

    async def mend(keys: Sequence[str]) -> None:
        assert list(keys) == ["k"]

    made: Doubting[Document] = Doubting(
        pipeline=NAME, round_=round_, source=rig.pipeline.source, sides=sides, store=rig.store,
        through=lambda: rig.pipeline.source.clock.latest() - due_in, mend=mend,
    )  # fmt: skip
    return made, round_, rig


def scripted(*pairs: Pair, repair: bool = False, looks: int = 20) -> Round:
    """The round after a doubt and some looks."""
    ended: list[Round] = []

    @in_virtual_time
    async def run() -> None:
        made, round_, rig = doubting(Shown(*pairs), repair=repair)
        async with rig.store:
            await rig.pipeline.source.connect()
            await made.doubt(["k"])
            for _ in range(looks):
                await made.settle()
        ended.append(round_)

    run()
    return ended[0]


@in_virtual_time
async def test_what_has_become_equal_before_its_time_is_fine_and_anything_else_waits() -> None:
    """A bucket's margin is minutes, and what was only on its way comes within seconds."""
    changing = [shown(f"a{number}", f"b{number}", f"e{number}") for number in range(MOST_TRIES + 5)]
    sides = Shown(*changing, shown("a", "b"))
    made, round_, rig = doubting(sides, due_in=LATER)
    async with rig.store:
        await rig.pipeline.source.connect()
        await made.doubt(["k"])
        doubted = dict(round_.doubts)
        for _ in range(MOST_TRIES + 10):
            await made.look_early()
            await made.settle()
        assert round_.doubts == doubted
        sides.pairs = [shown("c", "c")]
        await made.settle()
        assert round_.doubts == doubted
        await made.look_early()
    assert (round_.doubts, round_.findings) == ({}, {})


def test_what_stays_as_it_is_counts() -> None:
    found = scripted(shown("a", "b"))
    assert (found.differences, found.unsettled, found.doubts) == (1, 0, {})


def test_what_has_become_equal_is_fine() -> None:
    assert not scripted(shown("a", "b"), shown("c", "c")).findings


def test_a_target_that_has_come_to_what_the_source_held_is_fine() -> None:
    """It is behind a record that keeps changing, and that is lag."""
    assert not scripted(shown("b", "a"), shown("c", "b")).findings
    assert not scripted(shown(None, "a"), shown("c", None)).findings


def test_a_target_that_was_written_meanwhile_is_looked_at_again_though_it_shows_the_same() -> None:
    found = scripted(shown("a", "b"), shown("a", "b", "e2"), shown("a", "a", "e3"))
    assert not found.findings


def test_a_source_that_has_changed_meanwhile_is_looked_at_again() -> None:
    assert not scripted(shown("a", "x"), shown("b", "x"), shown("b", "b")).findings


def test_what_never_stands_still_is_unsettled_and_not_clean() -> None:
    pairs = [shown(f"a{number}", f"b{number}", f"e{number}") for number in range(MOST_TRIES + 5)]
    found = scripted(*pairs)
    assert (found.differences, found.unsettled, found.doubts) == (0, 1, {})
    assert [each.kind for each in found.findings.values()] == ["unsettled"]
    found.ended_at = T0
    assert not found.is_clean


def test_what_is_mended_counts_no_more_and_what_cannot_be_does() -> None:
    found = scripted(shown("a", "b"), shown("a", "b"), shown("a", "a"), repair=True)
    assert (found.differences, found.repaired) == (0, 1)
    assert found.findings["k"].repaired
    found = scripted(shown("a", "b"), repair=True)
    assert (found.differences, found.repaired, found.doubts) == (1, 0, {})
    assert not found.findings["k"].repaired


def test_what_was_mended_and_never_stands_still_afterwards_is_a_difference() -> None:
    first = [shown("a", "b"), shown("a", "b")]
    pairs = [shown(f"a{number}", f"b{number}", f"e{number}") for number in range(MOST_TRIES + 5)]
    found = scripted(*first, *pairs, repair=True)
    assert (found.differences, found.repaired, found.unsettled) == (1, 0, 0)


def test_nothing_is_looked_at_again_before_the_lag_has_passed() -> None:
    @in_virtual_time
    async def run() -> None:
        through: list[datetime | None] = [None]
        made, round_, rig = doubting(Shown(shown("a", "b")))
        made._through = lambda: through[0]
        async with rig.store:
            await rig.pipeline.source.connect()
            await made.doubt(["k"])
            seen_at = round_.doubts["k"].seen_at
            for moment in (None, seen_at, seen_at + MARGIN):
                through[0] = moment
                await made.settle()
                assert round_.doubts
            through[0] = seen_at + MARGIN + timedelta(microseconds=1)
            await made.settle()
            assert (round_.differences, round_.doubts) == (1, {})

    run()


def test_the_second_look_is_at_the_target_first() -> None:
    """Else a source that has changed and changed back in between could not be told from one at rest."""
    order: list[str] = []

    def told(name: str, answer: object) -> Callable[[Sequence[str]], object]:
        async def look(keys: Sequence[str]) -> object:
            order.append(name)
            return answer

        return look

    @in_virtual_time
    async def run() -> None:
        rig = Rig()
        source, target = rig.pipeline.source, rig.pipeline.target
        source.lookup = told("source", {})  # type: ignore[method-assign,assignment]
        target.observe = told("target", {})  # type: ignore[method-assign,assignment]
        await Sides(source, target).of_keys(["k"])

    run()
    assert order == ["target", "source"]

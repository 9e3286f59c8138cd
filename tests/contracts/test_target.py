"""What every target promises. See `contracts.worlds` for how to run it against another one."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from contracts.worlds import TARGETS, TargetWorld

from fakes.records import delete, document, key_of, upsert
from replicator.documents import Document
from replicator.model import ABSENT, Change, Listed, Marker, Observed, Operation, Rule
from sandbox.azurite import Azurite

A, B, C = (key_of(name) for name in "abc")
NAMES = [f"n{i}" for i in range(130)]
CANNOT = "the world cannot do this"


@pytest.fixture(params=sorted(TARGETS))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[TargetWorld]:
    def blobs() -> Azurite:
        server: Azurite = request.getfixturevalue("azurite")
        return server

    async with TARGETS[request.param](blobs) as made:
        await made.target.connect(("id",))
        await made.target.create()
        yield made


async def listed(world: TargetWorld, position: str | None = None) -> list[Listed]:
    async with aclosing(world.target.scan(position)) as pages:
        return [page async for page in pages]


async def sweep(world: TargetWorld) -> list[int]:
    removed: list[int] = []
    await world.target.sweep(removed.append)
    return removed


def far(change: Change[Document], seconds: float = 3600) -> Change[Document]:
    """The same change of a record that expires."""
    return replace(change, expires_at=datetime.now(UTC) + timedelta(seconds=seconds))


async def test_creating_is_idempotent_and_leaves_it_empty(world: TargetWorld) -> None:
    await world.target.create()
    assert await world.target.is_empty()
    assert await world.target.read_marker() is None


@pytest.mark.parametrize("rule", [Rule.OVERLAP, Rule.FOLLOW])
async def test_changes_are_written_whatever_is_there_and_again(world: TargetWorld, rule: Rule) -> None:
    for changes in ([upsert("a", 1), upsert("b", 2)], [upsert("a", 3), delete("b"), delete("c")]):
        for _ in range(2):
            assert await world.target.apply(changes, rule) == []
    assert await world.held() == {A: document("a", 3)}
    assert not await world.target.is_empty()


async def test_many_changes_of_different_keys_go_at_once(world: TargetWorld) -> None:
    assert await world.target.apply([upsert(n, i) for i, n in enumerate(NAMES)], Rule.FOLLOW) == []
    assert await world.held() == {key_of(n): document(n, i) for i, n in enumerate(NAMES)}
    assert await world.target.apply([delete(n) for n in NAMES], Rule.FOLLOW) == []
    assert await world.held() == {}


async def test_a_copied_row_is_created_only_if_absent(world: TargetWorld) -> None:
    await world.target.apply([upsert("a", 5)], Rule.OVERLAP)
    assert await world.target.apply([upsert("a", 1), upsert("b", 2)], Rule.COPY) == []
    assert await world.held() == {A: document("a", 5), B: document("b", 2)}


async def test_beside_a_copy_a_delete_keeps_a_late_row_from_coming_back(world: TargetWorld) -> None:
    if not world.holds_off:
        pytest.skip(CANNOT)
    await world.target.apply([upsert("a", 5)], Rule.OVERLAP)
    await world.target.apply([delete("a"), delete("never there")], Rule.OVERLAP)
    await world.target.apply([upsert("a", 1), upsert("never there", 1)], Rule.COPY)
    assert await world.held() == {}
    await world.target.apply([upsert("a", 6)], Rule.OVERLAP)
    assert await world.held() == {A: document("a", 6)}


async def test_the_sweep_leaves_no_tombstone_and_nothing_else_is_touched(world: TargetWorld) -> None:
    if not world.holds_off:
        pytest.skip(CANNOT)
    await world.target.apply([upsert(n, 1) for n in NAMES], Rule.OVERLAP)
    gone, kept = NAMES[::2], NAMES[1::2]
    await world.target.apply([delete(n) for n in gone], Rule.OVERLAP)
    assert sum(await sweep(world)) == len(gone)
    assert await world.held() == {key_of(n): document(n, 1) for n in kept}
    assert sum(len(page.keys) for page in await listed(world)) == len(kept)
    assert await sweep(world) == [], "idempotent"


@pytest.mark.parametrize("lands", [True, False])
async def test_the_sweep_finishes_although_answers_are_lost(world: TargetWorld, lands: bool) -> None:
    if world.lose_next is None or not world.holds_off:
        pytest.skip(CANNOT)
    await world.target.apply([far(upsert("a", 1)), delete("b"), delete("c")], Rule.OVERLAP)
    for _ in range(2):
        world.lose_next(world.lifetime_s * 0.6 if lands else None)
    await sweep(world)
    assert await sweep(world) == []
    assert sum(len(page.keys) for page in await listed(world)) == 1, "and no tombstone is left"


async def test_expiry_is_held_off_until_the_sweep(world: TargetWorld) -> None:
    if not world.holds_off:
        pytest.skip(CANNOT)
    soon = (datetime.now(UTC) + timedelta(seconds=1.2)).replace(microsecond=0)
    await world.target.apply([replace(upsert("a", 1), expires_at=soon)], Rule.COPY)
    await world.target.apply([far(upsert("b", 1))], Rule.OVERLAP)
    await anyio.sleep((soon - datetime.now(UTC)).total_seconds())
    assert (await world.target.observe([A]))[A].guard is not None
    assert sum(await sweep(world)) == 2
    with anyio.fail_after(3):
        while A in await world.held():  # noqa: ASYNC110 — the target's own clock tells nobody
            await anyio.sleep(0.02)
    assert B in await world.held()
    assert await sweep(world) == []


async def test_a_record_past_its_expiry_counts_as_deleted_when_it_arrives(world: TargetWorld) -> None:
    if not world.holds_off:
        pytest.skip(CANNOT)
    gone = far(upsert("a", 2), -60)
    await world.target.apply([gone], Rule.COPY)
    assert await world.held() == {}
    await world.target.apply([upsert("a", 1)], Rule.OVERLAP)
    await world.target.apply([gone], Rule.OVERLAP)
    await world.target.apply([upsert("a", 0)], Rule.COPY)
    assert await world.held() == {}, "a late copied row does not bring it back either"
    await sweep(world)
    await world.target.apply([upsert("a", 1)], Rule.FOLLOW)
    await world.target.apply([gone], Rule.FOLLOW)
    assert await world.target.observe([A]) == {A: ABSENT}
    assert world.target.fingerprint(gone) is None


async def test_what_it_never_takes_is_returned_and_the_others_are_written(world: TargetWorld) -> None:
    if world.refused is None:
        pytest.skip(CANNOT)
    for rule in Rule:
        (rejection,) = await world.target.apply([upsert("a", 1), world.refused], rule)
        assert rejection.key == world.refused.key
        assert rejection.reason
    assert await world.held() == {A: document("a", 1)}
    result = await world.target.replace({world.refused.key: world.refused}, {world.refused.key: ABSENT}, Rule.FOLLOW)
    assert [r.key for r in result.rejections] == [world.refused.key]
    assert result.conflicts == ()
    with pytest.raises(ValueError, match=rejection.reason):
        world.target.fingerprint(world.refused)


async def test_what_is_observed_tells_equal_records_by_their_fingerprint(world: TargetWorld) -> None:
    await world.target.apply([upsert("a", 1)], Rule.FOLLOW)
    await world.target.apply([delete("b")], Rule.OVERLAP)
    observed = await world.target.observe([A, B, C])
    assert set(observed) == {A, B, C}
    assert observed[A].guard is not None
    assert observed[A].digest == world.target.fingerprint(upsert("a", 1))
    assert observed[A].digest != world.target.fingerprint(upsert("a", 2))
    assert (observed[B].guard is not None) == world.holds_off, "a tombstone can be written over, guarded"
    assert observed[B].digest is None
    assert observed[C] == ABSENT
    assert world.target.fingerprint(delete("c")) is None
    assert await world.target.observe([]) == {}


async def replace_all(world: TargetWorld, *changes: Change[Document], rule: Rule = Rule.FOLLOW) -> dict[str, Observed]:
    by_key = {c.key: c for c in changes}
    observed = await world.target.observe(list(by_key))
    result = await world.target.replace(by_key, observed, rule)
    assert (result.rejections, result.conflicts) == ((), ())
    return observed


async def test_a_guarded_write_brings_each_key_to_what_is_wanted(world: TargetWorld) -> None:
    await world.target.apply([upsert("a", 1), upsert("b", 1)], Rule.FOLLOW)
    await replace_all(world, upsert("a", 2), delete("b"), upsert("c", 3), delete("d"))
    assert await world.held() == {A: document("a", 2), C: document("c", 3)}
    await replace_all(world, delete("a"), delete("c"))
    assert await world.held() == {}


async def test_what_is_equal_already_is_not_written_again(world: TargetWorld) -> None:
    await world.target.apply([upsert("a", 1)], Rule.FOLLOW)
    before = await replace_all(world, upsert("a", 1))
    assert await world.target.observe([A]) == before


@pytest.mark.parametrize("wanted", [upsert("a", 9), delete("a")], ids=["upsert", "delete"])
async def test_a_guarded_write_is_refused_when_the_target_has_moved_on(
    world: TargetWorld, wanted: Change[Document]
) -> None:
    await world.target.apply([upsert("a", 1)], Rule.FOLLOW)
    for newer in (upsert("a", 2), delete("a")):
        observed = await world.target.observe([A])
        await world.target.apply([newer], Rule.FOLLOW)
        held = await world.held()
        result = await world.target.replace({A: wanted}, observed, Rule.FOLLOW)
        if wanted.operation is Operation.UPSERT or held:
            assert result.conflicts == (A,)
        assert await world.held() == held


async def test_a_guarded_creation_is_refused_when_something_came_to_be(world: TargetWorld) -> None:
    await world.target.apply([upsert("a", 2)], Rule.FOLLOW)
    result = await world.target.replace({A: upsert("a", 1)}, {A: ABSENT}, Rule.FOLLOW)
    assert result.conflicts == (A,)
    assert await world.held() == {A: document("a", 2)}


async def test_a_guarded_write_over_a_tombstone_and_a_guarded_removal_of_one(world: TargetWorld) -> None:
    if not world.holds_off:
        pytest.skip(CANNOT)
    await world.target.apply([delete("a"), delete("b")], Rule.OVERLAP)
    await replace_all(world, upsert("a", 1), delete("b"))
    assert await world.held() == {A: document("a", 1)}
    assert await world.target.observe([B]) == {B: ABSENT}, "what a repair leaves behind is no tombstone"


async def test_beside_a_copy_a_guarded_delete_leaves_a_tombstone_even_of_nothing(world: TargetWorld) -> None:
    """A row read before may still come; and its delete in the stream will be dropped as known to the reconcile."""
    if not world.holds_off:
        pytest.skip(CANNOT)
    await world.target.apply([upsert("a", 1)], Rule.OVERLAP)
    await replace_all(world, delete("a"), delete("b"), rule=Rule.OVERLAP)
    await world.target.apply([upsert("a", 0), upsert("b", 0)], Rule.COPY)
    assert await world.held() == {}
    assert sum(await sweep(world)) == 2
    assert await world.target.is_empty()


@pytest.mark.parametrize("lands", [True, False])
async def test_a_write_whose_answer_was_lost_is_repeated_and_a_later_one_waits(world: TargetWorld, lands: bool) -> None:
    if world.lose_next is None:
        pytest.skip(CANNOT)
    world.lose_next(world.lifetime_s * 0.6 if lands else None)
    begun = anyio.current_time()
    assert await world.target.apply([upsert("a", 1)], Rule.FOLLOW) == []
    assert await world.held() == {A: document("a", 1)}
    await world.target.apply([upsert("a", 2)], Rule.FOLLOW)
    assert anyio.current_time() - begun >= world.lifetime_s
    await anyio.sleep(world.lifetime_s)
    assert await world.held() == {A: document("a", 2)}


@pytest.mark.parametrize("lands", [True, False])
async def test_a_guarded_write_whose_answer_was_lost_is_a_conflict_once_it_is_over(
    world: TargetWorld, lands: bool
) -> None:
    if world.lose_next is None:
        pytest.skip(CANNOT)
    await world.target.apply([upsert("a", 1)], Rule.FOLLOW)
    observed = await world.target.observe([A])
    world.lose_next(world.lifetime_s * 0.6 if lands else None)
    result = await world.target.replace({A: upsert("a", 2)}, observed, Rule.FOLLOW)
    assert result.conflicts == (A,)
    held = await world.held()
    assert held == {A: document("a", 2 if lands else 1)}
    await anyio.sleep(world.lifetime_s)
    assert await world.held() == held, "nothing can take effect any more"


async def test_a_scan_shows_everything_and_resumes_after_any_position(world: TargetWorld) -> None:
    await world.target.apply([upsert(n, 1) for n in NAMES], Rule.FOLLOW)
    pages = await listed(world)
    assert sorted(k for page in pages for k in page.keys) == sorted(key_of(n) for n in NAMES)
    assert all(page.foreign == () for page in pages)
    for done, page in enumerate(pages, start=1):
        rest = {k for p in pages[done:] for k in p.keys}
        resumed = {k for p in await listed(world, page.position) for k in p.keys}
        assert rest <= resumed


async def test_a_scan_of_nothing_ends(world: TargetWorld) -> None:
    assert [k for page in await listed(world) for k in page.keys] == []


async def test_foreign_entries_are_named_and_removed_only_on_request(world: TargetWorld) -> None:
    if world.put_foreign is None:
        pytest.skip(CANNOT)
    await world.target.apply([upsert("a", 1)], Rule.FOLLOW)
    await world.put_foreign("stranger")
    pages = await listed(world)
    assert [k for page in pages for k in page.keys] == [A]
    handles = [h for page in pages for h in page.foreign]
    assert len(handles) == 1
    await world.put_foreign("stranger")
    await world.target.remove_foreign(handles)
    assert len([h for page in await listed(world) for h in page.foreign]) == 1, "it has changed since"
    await world.target.remove_foreign([h for page in await listed(world) for h in page.foreign])
    await world.target.remove_foreign([h for page in await listed(world) for h in page.foreign])
    assert [h for page in await listed(world) for h in page.foreign] == []
    assert await world.held() == {A: document("a", 1)}


async def test_what_is_ours_but_not_where_it_belongs_is_named_apart_and_removed_on_request(world: TargetWorld) -> None:
    """Another config has put it there, whose writes nobody finds any more by the record's key."""
    if world.put_leftover is None:
        pytest.skip(CANNOT)
    await world.target.apply([upsert("a", 1)], Rule.FOLLOW)
    for name in ("a", "b"):
        await world.put_leftover(name)
    pages = await listed(world)
    assert [k for page in pages for k in page.keys] == [A]
    assert [h for page in pages for h in page.foreign] == []
    handles = [h for page in pages for h in page.leftovers]
    assert len(handles) == 2
    await world.put_leftover("a")
    await world.target.remove_foreign(handles)
    changed_since = [h for page in await listed(world) for h in page.leftovers]
    assert len(changed_since) == 1
    await world.target.remove_foreign(changed_since)
    assert [h for page in await listed(world) for h in page.leftovers] == []
    assert await world.held() == {A: document("a", 1)}


@pytest.mark.parametrize("lands", [True, False])
async def test_a_removal_whose_answer_was_lost_is_finished(world: TargetWorld, lands: bool) -> None:
    if world.put_foreign is None or world.lose_next is None:
        pytest.skip(CANNOT)
    await world.put_foreign("stranger")
    handles = [h for page in await listed(world) for h in page.foreign]
    world.lose_next(world.lifetime_s * 0.6 if lands else None)
    await world.target.remove_foreign(handles)
    assert await world.target.is_empty()


async def test_a_target_with_foreign_entries_is_not_empty(world: TargetWorld) -> None:
    if world.put_foreign is None:
        pytest.skip(CANNOT)
    await world.put_foreign("stranger")
    assert not await world.target.is_empty()


ONE, TWO, OTHER = Marker("m", 1, "g1"), Marker("m", 1, "g2"), Marker("x", 9, "g9")


async def test_the_marker_is_replaced_only_on_condition(world: TargetWorld) -> None:
    target = world.target
    assert await target.write_marker(ONE, None)
    assert await target.read_marker() == ONE
    assert not await target.write_marker(OTHER, None)
    assert not await target.write_marker(OTHER, TWO)
    assert await target.read_marker() == ONE
    assert await target.write_marker(TWO, ONE)
    assert await target.read_marker() == TWO


async def test_a_marker_write_repeated_after_an_unknown_outcome_is_no_conflict_with_itself(world: TargetWorld) -> None:
    assert await world.target.write_marker(ONE, None)
    assert await world.target.write_marker(ONE, None)
    assert await world.target.write_marker(TWO, ONE)
    assert await world.target.write_marker(TWO, ONE)


async def test_the_marker_is_no_record(world: TargetWorld) -> None:
    await world.target.write_marker(ONE, None)
    assert await world.target.is_empty()
    assert [entry for page in await listed(world) for entry in (*page.keys, *page.foreign)] == []
    assert await sweep(world) == []
    assert await world.target.read_marker() == ONE

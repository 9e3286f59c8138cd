"""Promises of watching the target: whatever is not of our making is found within one scan, and never forgotten."""

from datetime import UTC, datetime

import anyio
import pytest

from fakes.memory import FINE, Entry, refused
from fakes.records import document, key_of
from fakes.rig import NAME, Crash, Rig, faulty, load, work
from fakes.virtual import in_virtual_time
from replicator.engine import watching
from replicator.engine.pipeline import PipelineOptions
from replicator.engine.watching import NOTE, read_note
from replicator.errors import TransientError
from replicator.model import Foreign

INTERVAL_S = PipelineOptions(lifetime_s=1, beat_s=1, discover_s=1, most_batches=1).watch_s
ONE_SCAN_S = INTERVAL_S + 5


def put_foreign(rig: Rig, *names: str) -> None:
    for name in names:
        rig.service.entries[key_of(name)] = Entry(f"f{next(rig.service.etags)}", document(name, 0), foreign=True)


def found(rig: Rig) -> int:
    status = rig.pipeline.watching.status
    return status.found if status else 0


@in_virtual_time
async def test_it_is_found_within_one_scan_and_known_until_it_is_gone() -> None:
    rig = Rig()
    async with rig.store:
        load(rig)
        async with rig.running() as pipeline:
            await rig.converged()
            await rig.until(lambda: pipeline.watching.status is not None)
            assert found(rig) == 0
            rig.excused.add(key_of("n0"))
            put_foreign(rig, "stranger", "n0")
            await anyio.sleep(ONE_SCAN_S)
            assert {record.name for record in pipeline.watching.found.records} == {key_of("stranger"), key_of("n0")}
        async with rig.running():
            assert found(rig) == 2, "from the first moment on"
            rig.service.remove(key_of("stranger"))
            rig.table.put("n0")
            await anyio.sleep(2 * ONE_SCAN_S)
            assert found(rig) == 0


@in_virtual_time
async def test_nothing_is_known_before_the_first_scan_has_come_to_its_end() -> None:
    rig = Rig()
    async with rig.store:
        load(rig)
        rig.service.fate = lambda kind, _: refused(TransientError("unavailable")) if kind == "watch" else FINE
        async with rig.running() as pipeline:
            await rig.converged()
            await anyio.sleep(ONE_SCAN_S)
            assert pipeline.watching.status is None
            rig.service.fate = lambda _kind, _key: FINE
            await rig.until(lambda: pipeline.watching.status is not None)


@in_virtual_time
@pytest.mark.parametrize("seed", range(3))
async def test_nothing_that_we_write_is_taken_for_foreign(seed: int) -> None:
    rig = Rig(seed)
    async with rig.store:
        load(rig)
        rig.service.fate = faulty(rig.rng)
        async with rig.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(work, rig, 100)
            for _ in range(40):
                await anyio.sleep(2)
                assert found(rig) == 0


@in_virtual_time
async def test_a_crash_at_any_step_forgets_nothing() -> None:
    for at in range(1, 16):
        rig = Rig(at)
        async with rig.store:
            load(rig, 3)
            async with rig.running():
                await rig.converged()
            put_foreign(rig, "stranger")
            rig.crash = crash = Crash(at * 12)
            with crash.scope:
                async with rig.running():
                    await anyio.sleep(ONE_SCAN_S)
            rig.crash = Crash()
            async with rig.running():
                await anyio.sleep(ONE_SCAN_S)
                assert found(rig) == 1


@in_virtual_time
async def test_of_very_many_a_part_is_kept_and_the_rest_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_KEPT", 3)
    rig = Rig()
    async with rig.store:
        load(rig)
        async with rig.running() as pipeline:
            await rig.converged()
            put_foreign(rig, *[f"stranger-{i}" for i in range(5)])
            await anyio.sleep(ONE_SCAN_S)
            assert found(rig) == 4, "three, and others"
            assert len(pipeline.watching.found.records) == 3
            for record in pipeline.watching.found.records:
                rig.service.remove(record.handle)
            for _ in range(int(3 * ONE_SCAN_S)):
                await anyio.sleep(1)
                status = pipeline.watching.status
                assert status is None or status.found, "never taken for none while the others are not looked for"
            assert found(rig) == 2


async def test_what_is_remembered_is_read_back_as_it_was() -> None:
    rig = Rig()
    async with rig.store:
        kept = watching.Found("here", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), (Foreign("k", "h"),), more=True)
        await rig.store.save_note(NAME, NOTE, kept.note())
        assert read_note(await rig.store.load_note(NAME, NOTE)) == kept
    assert read_note(None) == watching.Found()

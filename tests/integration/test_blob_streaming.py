"""Promises about bytes: nothing shows before all is there, what is cut goes on, memory is bounded, the newest wins."""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import psutil
import pytest

from fakes.blobs import Bench, ready
from fakes.objects import Bytes, Pattern, gone, put
from replicator.model import GuardedResult, Rule
from sandbox.azurite import Azurite
from sandbox.faults import FaultProxy
from sandbox.faults.rules import Answer, CutAfter, CutBefore, Delay, Duplicate, HoldDelivery, Pass

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

BLOCK = 128 * 1024
LARGE = os.urandom(10 * BLOCK + 77)
OTHER = os.urandom(10 * BLOCK + 1)
DONE = GuardedResult()
STAGING, COMMIT = r"comp=block(&|$)", r"comp=blocklist"


@asynccontextmanager
async def breaking(azurite: Azurite) -> AsyncIterator[tuple[Bench, FaultProxy]]:
    """A target behind a proxy that breaks what passes."""
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        sizes = {"block_bytes": BLOCK, "buffer_bytes": 1024 * 1024, "lifetime_s": 0.6, "timeout_s": 5.0}
        async with ready(azurite, to=f"{proxy.endpoint}/{azurite.account_name}", **sizes) as bench:
            yield bench, proxy


@pytest.fixture
async def bench(azurite: Azurite) -> AsyncIterator[Bench]:
    async with ready(azurite, block_bytes=BLOCK, buffer_bytes=1024 * 1024) as made:
        yield made


class Gated(Bytes):
    """Stops in the middle until it is let go; `reached` is set there."""

    def __init__(self, data: bytes, at: int = 5 * BLOCK) -> None:
        super().__init__(data)
        self.at = at
        self.reached = anyio.Event()
        self.go = anyio.Event()

    async def read(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        if start + length > self.at:
            self.reached.set()
            await self.go.wait()
        async for piece in super().read(start, length):
            yield piece


async def test_a_connection_cut_within_a_block_sends_that_block_again_and_nothing_shows_before(
    azurite: Azurite,
) -> None:
    async with breaking(azurite) as (bench, proxy):
        with (
            proxy.inject(CutBefore(), path=STAGING, skip=2, count=2),
            proxy.inject(CutAfter(), path=STAGING, skip=5, count=2),
            proxy.inject(Pass(), path=STAGING) as staged,
        ):
            content = Gated(LARGE)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bench.replace, put("a", LARGE, content=content))
                await content.reached.wait()
                await staged.wait_for_hits(3)
                assert await bench.names() == []
                content.go.set()
        assert await bench.content("a") == LARGE
        assert content.read_bytes == len(LARGE), "the source is not asked again"


async def test_a_source_that_is_cut_goes_on_from_there(bench: Bench) -> None:
    cuts = {BLOCK // 2: 3, 3 * BLOCK: 1, len(LARGE) - 1: 2}
    content = Bytes(LARGE, cuts)
    assert await bench.replace(put("a", LARGE, content=content)) == DONE
    assert await bench.content("a") == LARGE
    assert content.read_bytes == len(LARGE), "no byte is read twice"
    assert await bench.replace(put("b", LARGE[:1000], content=Bytes(LARGE[:1000], {500: 2}))) == DONE
    assert await bench.content("b") == LARGE[:1000]


@pytest.mark.parametrize("cut", [True, False])
async def test_a_transfer_that_is_given_up_leaves_the_former_blob_as_it_was(bench: Bench, *, cut: bool) -> None:
    await bench.replace(put("a", OTHER))
    before = await bench.observe("a")
    content = Gated(LARGE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.replace, put("a", LARGE, "v2", content=content))
        await content.reached.wait()
        tasks.cancel_scope.cancel()
    assert await bench.observe("a") == before
    assert bench.target.limits.buffer.held == 0
    assert await bench.replace(put("a", LARGE, "v2")) == DONE
    assert await bench.content("a") == LARGE


@pytest.mark.parametrize("at_first", [None, put("a", OTHER[::-1], "v0")], ids=["absent", "present"])
@pytest.mark.parametrize(
    "fast", [put("a", OTHER, "v2"), put("a", b"tiny", "v2"), gone("a")], ids=["large", "small", "gone"]
)
async def test_a_slow_worker_never_overwrites_a_fast_one(bench: Bench, at_first: Any, fast: Any) -> None:
    """Both looked at the same state; the fast one knew the newer object."""
    if at_first is not None:
        await bench.replace(at_first)
    observed, results = await bench.target.observe(["a"]), list[GuardedResult]()
    content = Gated(LARGE)

    async def slow() -> None:
        results.append(await bench.target.replace({"a": put("a", LARGE, content=content)}, observed, Rule.FOLLOW))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow)
        await content.reached.wait()
        assert await bench.target.replace({"a": fast}, observed, Rule.FOLLOW) == DONE
        held = await bench.held()
        content.go.set()
    if at_first is None and not held:
        return  # created and deleted again meanwhile: the engine looks at the source once more
    assert results == [GuardedResult(conflicts=("a",))]
    assert await bench.held() == held


async def test_a_fast_worker_with_an_older_object_is_overtaken_by_the_slow_one_that_looks_again(bench: Bench) -> None:
    observed, results = await bench.target.observe(["a"]), list[GuardedResult]()
    content = Gated(LARGE)

    async def slow() -> None:
        results.append(await bench.target.replace({"a": put("a", LARGE, "v2", content=content)}, observed, Rule.FOLLOW))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow)
        await content.reached.wait()
        assert await bench.target.replace({"a": put("a", OTHER, "v1")}, observed, Rule.FOLLOW) == DONE
        content.go.set()
    assert results == [GuardedResult(conflicts=("a",))]
    assert await bench.replace(put("a", LARGE, "v2")) == DONE
    assert await bench.content("a") == LARGE


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("fault", [CutAfter(), CutBefore(), HoldDelivery(seconds=0.2)], ids=lambda f: f.kind)
async def test_a_write_whose_answer_was_lost_is_a_conflict_once_it_is_over(
    azurite: Azurite, data: bytes, fault: Any
) -> None:
    async with breaking(azurite) as (bench, proxy):
        await bench.replace(put("a", b"0", "v0"))
        path = COMMIT if data is LARGE else r"/a$"
        begun = anyio.current_time()
        with proxy.inject(fault, method="PUT", path=path, count=1):
            assert await bench.replace(put("a", data)) == GuardedResult(conflicts=("a",))
        assert anyio.current_time() - begun >= 0.55
        await proxy.settled()
        before = await bench.observe("a")
        assert await bench.content("a") == (b"0" if fault.kind == "cut_before" else data)
        assert await bench.replace(put("a", data)) == DONE
        assert await bench.content("a") == data
        if fault.kind != "cut_before":
            assert await bench.observe("a") == before, "it had landed, so it is not written again"


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
async def test_a_label_that_arrives_late_undoes_nothing(azurite: Azurite, data: bytes) -> None:
    """Whatever was written after it was sent stays."""
    async with breaking(azurite) as (bench, proxy):
        await bench.replace(put("a", data, tags={"t": "0"}))
        observed, results = await bench.target.observe(["a"]), list[GuardedResult]()

        async def relabel() -> None:
            change = put("a", data, tags={"t": "1"})
            results.append(await bench.target.replace({"a": change}, observed, Rule.FOLLOW))

        with proxy.inject(Delay(seconds=0.3), method="PUT", path=r"/a($|\?)", count=1) as late:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(relabel)
                await late.wait_for_hits()
                await bench.container.upload_blob("a", b"newer", overwrite=True)
        assert results == [GuardedResult(conflicts=("a",))]
        assert await bench.content("a") == b"newer"


async def test_a_commit_that_arrives_twice_is_no_harm(azurite: Azurite) -> None:
    async with breaking(azurite) as (bench, proxy):
        with proxy.inject(Duplicate(), path=COMMIT, count=1):
            await bench.replace(put("a", LARGE))
        assert await bench.content("a") == LARGE


@pytest.mark.parametrize("data", [b"", b"small", OTHER], ids=len)
async def test_blocks_that_a_killed_daemon_has_left_are_in_nobodys_way(bench: Bench, data: bytes) -> None:
    content = Gated(LARGE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.replace, put("a", LARGE, content=content))
        await content.reached.wait()
        tasks.cancel_scope.cancel()
    assert (await bench.container.get_blob_client("a").get_block_list("uncommitted"))[1]
    assert await bench.replace(put("a", data, "v2")) == DONE
    assert await bench.held() == {"a": data}


async def test_an_unconditional_write_is_repeated_until_its_outcome_is_known(azurite: Azurite) -> None:
    async with breaking(azurite) as (bench, proxy):
        with proxy.inject(CutAfter(), path=COMMIT, count=2):
            assert await bench.target.apply([put("a", LARGE)], Rule.FOLLOW) == []
        assert await bench.content("a") == LARGE


async def test_an_unconditional_write_whose_blocks_somebody_has_discarded_is_made_again(bench: Bench) -> None:
    content = Gated(LARGE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.target.apply, [put("a", LARGE, content=content)], Rule.FOLLOW)
        await content.reached.wait()
        await bench.container.get_blob_client("a").commit_block_list([])
        content.go.set()
    assert await bench.content("a") == LARGE


async def test_a_busy_account_and_damaged_blocks_are_tried_again(azurite: Azurite) -> None:
    async with breaking(azurite) as (bench, proxy):
        headers = {"x-ms-request-id": "r", "Retry-After": "0"}
        busy = Answer(status=503, headers={**headers, "x-ms-error-code": "ServerBusy"})
        damaged = Answer(status=400, headers={**headers, "x-ms-error-code": "Md5Mismatch"})
        with proxy.inject(busy, method="PUT", count=3), proxy.inject(damaged, path=STAGING, skip=1, count=1):
            assert await bench.replace(put("a", LARGE)) == DONE
        assert await bench.content("a") == LARGE


async def test_an_earlier_object_of_many_blocks_does_not_hold_small_ones_up_or_use_more_memory(bench: Bench) -> None:
    changes = [put(f"l{n}", LARGE) for n in range(6)] + [put(f"s{n}", b"small") for n in range(50)]
    assert await bench.replace(*changes) == DONE
    assert bench.target.limits.buffer.most_held <= 1024 * 1024
    assert bench.target.limits.buffer.held == 0
    assert len(await bench.names()) == 56
    assert await bench.content("l5") == LARGE


async def test_no_more_than_the_given_rate_is_transferred(azurite: Azurite) -> None:
    async with ready(azurite, block_bytes=BLOCK, max_bytes_per_s=1_000_000) as bench:
        begun = anyio.current_time()
        await bench.replace(put("a", LARGE), put("b", LARGE), *(put(f"s{n}", bytes(1000)) for n in range(10)))
        assert anyio.current_time() - begun >= (2 * len(LARGE) - 1_000_000 - 2 * BLOCK) / 1_000_000 - 0.1


async def streamed(azurite: Azurite, size: int) -> float:
    """How much the process has grown, in MB, while an object of this size passed through it."""
    async with ready(azurite) as bench:
        await bench.replace(put("warm", bytes(20 * 1024 * 1024)))
        process, grown = psutil.Process(), 0.0
        before = process.memory_info().rss
        pattern = os.urandom(64 * 1024 + 1)

        class Measured(Pattern):
            def piece(self, start: int, stop: int) -> bytes:
                nonlocal grown
                grown = max(grown, (process.memory_info().rss - before) / 1e6)
                return super().piece(start, stop)

        md5 = hashlib.md5(usedforsecurity=False)
        whole, rest = divmod(size, len(pattern))
        for _ in range(whole):
            md5.update(pattern)
        md5.update(pattern[:rest])
        content = Measured(pattern)
        assert await bench.replace(put("a", content=content, size=size, checksums={"md5": md5.digest()})) == DONE
        found = await bench.container.get_blob_client("a").get_blob_properties()
        assert found.size == size
        assert found.content_settings.content_md5 == bytearray(md5.digest())
        tail = await (await bench.container.download_blob("a", offset=size - 1000, length=1000)).readall()
        assert tail == content.piece(size - 1000, size)
        return grown


async def test_an_object_of_256_mb_passes_in_bounded_memory(azurite: Azurite) -> None:
    assert await streamed(azurite, 256_000_000) < 100


@pytest.mark.embedded("azurite", "blobs on disk")
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_an_object_of_2_gb_passes_in_bounded_memory(tmp_path: Any) -> None:
    async with Azurite(location=tmp_path) as on_disk:
        assert await streamed(on_disk, 2_000_000_000) < 100

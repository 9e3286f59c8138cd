"""Promise: the lease is taken over only when nobody has renewed it for as long as it lasts, on the clock of whoever
wants it; replicas have none in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from connectors.azure.state.store import BlobStore
from fakes.stateblobs import MemoryBlobs, MemoryContainer, unanswered
from replicator.delivery import Backoff
from replicator.errors import LeaseLostError
from replicator.model import PipelineState

AT_ONCE = Backoff(0.0, 0.0)


@dataclass
class Replica:
    """With a clock of its own."""

    container: MemoryContainer
    now_s: float = 0.0
    blobs: MemoryBlobs = field(init=False)
    store: BlobStore = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = MemoryBlobs(self.container)
        self.store = BlobStore(self.blobs, AT_ONCE, lambda: self.now_s)


async def test_it_is_watched_for_its_whole_duration_whatever_the_clocks_say() -> None:
    container = MemoryContainer()
    one, two = Replica(container, now_s=1e9), Replica(container, now_s=5.0)
    assert await one.store.acquire_lease("one", 30) == 0
    assert await two.store.acquire_lease("two", 30) == 30
    two.now_s += 29
    assert await two.store.acquire_lease("two", 30) == 1
    assert await one.store.acquire_lease("one", 30) == 0, "renewed"
    assert await two.store.acquire_lease("two", 30) == 30, "watched anew"
    two.now_s += 30
    assert await two.store.acquire_lease("two", 30) == 0
    with pytest.raises(LeaseLostError, match="two"):
        await one.store.acquire_lease("one", 30)


async def test_a_renewal_whose_answer_is_lost_is_no_loss_of_the_lease() -> None:
    one = Replica(MemoryContainer())
    assert await one.store.acquire_lease("one", 30) == 0
    for number in range(len(one.blobs.asked), len(one.blobs.asked) + 3):
        one.blobs.after = unanswered(number)
        assert await one.store.acquire_lease("one", 30) == 0
    await one.store.save_pipeline("orders", PipelineState(epoch=1))


async def test_a_first_lease_whose_answers_are_lost_is_taken_nevertheless() -> None:
    counting = Replica(MemoryContainer())
    assert await counting.store.acquire_lease("one", 30) == 0
    for number in range(len(counting.blobs.asked)):
        one = Replica(MemoryContainer())
        one.blobs.after = unanswered(number)
        assert await one.store.acquire_lease("one", 30) == 0
        await one.store.save_pipeline("orders", PipelineState(epoch=1))


async def test_a_daemon_that_lost_the_lease_while_it_took_it_over_does_not_have_it() -> None:
    """Taking over rewrites all there is, which may take longer than the lease lasts."""
    container = MemoryContainer()
    slow, quick = Replica(container), Replica(container)
    await slow.store.save_pipeline("orders", PipelineState(epoch=1))
    first = len(slow.blobs.asked)

    async def overtaken(number: int) -> None:
        if number == first + 2:
            slow.blobs.before = None
            assert await quick.store.acquire_lease("quick", 0) == 0
            assert await quick.store.acquire_lease("quick", 30) == 0

    slow.blobs.before = overtaken
    with pytest.raises(LeaseLostError, match="quick"):
        await slow.store.acquire_lease("slow", 0)
    await quick.store.save_pipeline("orders", PipelineState(epoch=2))

"""Promises of a probe: it measures what the target does, is bounded, and leaves nothing behind without naming it."""

import anyio

from fakes.virtual import in_virtual_time
from replicator.estimate import probing
from replicator.estimate.probing import GRACE_S, MOST_WRITES, REMOVAL_S, Probe, ProbeRefusedError, told


class Service:
    """Takes `latency_s` for a write, of which `at_once` are worked on at a time; each costs `units`."""

    def __init__(self, latency_s: float = 0.05, at_once: int = 100) -> None:
        self.held: set[str] = set()
        self.written = 0
        self.refuse_after = 10**9
        self.sticky = False
        self.latency_s = latency_s
        self._slots = anyio.Semaphore(at_once)

    async def write(self, name: str) -> float:
        async with self._slots:
            if self.written >= self.refuse_after:
                raise ProbeRefusedError("full")
            self.held.add(name)
            await anyio.sleep(self.latency_s)
            self.written += 1
            return 5.0

    async def remove(self, name: str) -> None:
        if self.sticky:
            raise ProbeRefusedError("forbidden")
        await anyio.sleep(self.latency_s)
        self.held.discard(name)


@in_virtual_time
async def test_the_rates_and_the_price_are_those_of_the_service() -> None:
    service = Service(latency_s=0.1, at_once=8)
    probed = await Probe("probe", service.write, service.remove).run(lambda _: None)
    assert 9 <= probed.slot_per_s <= 10.1
    assert 70 <= probed.most_per_s <= 80.1
    assert probed.units == 5.0
    assert not service.held
    assert told(probed) == ()


@in_virtual_time
async def test_no_more_is_written_than_was_said() -> None:
    service = Service(latency_s=0.001)
    widened: list[int] = []
    await Probe("probe", service.write, service.remove, most_at_once=4).run(widened.append)
    assert service.written <= MOST_WRITES
    assert widened == [4]
    assert not service.held


@in_virtual_time
async def test_who_does_not_answer_is_given_up_and_cleaned_up_after() -> None:
    service = Service(latency_s=3600)
    began = anyio.current_time()
    with anyio.fail_after(GRACE_S + REMOVAL_S + 1):
        probed = await Probe("probe", service.write, service.remove).run(lambda _: None)
    assert anyio.current_time() - began >= GRACE_S
    assert probed.writes == 0
    assert "no answer" in probed.refused
    assert probed.left, "it could not be removed either, and is named"


@in_virtual_time
async def test_a_refusal_ends_it_and_is_told() -> None:
    service = Service()
    service.refuse_after = 5
    probed = await Probe("probe", service.write, service.remove).run(lambda _: None)
    assert "full" in told(probed)[0]
    assert not service.held


@in_virtual_time
async def test_what_cannot_be_removed_is_named() -> None:
    service = Service()
    service.sticky = True
    probed = await Probe("probe", service.write, service.remove).run(lambda _: None)
    assert set(probed.left) == service.held
    assert "could not remove probe-" in told(probed)[-1]


@in_virtual_time
async def test_an_interrupted_probe_removes_what_it_has_written() -> None:
    service = Service()
    with anyio.move_on_after(probing.ALONE_S + 0.5):
        await Probe("probe", service.write, service.remove).run(lambda _: None)
    assert service.written > 10
    assert not service.held

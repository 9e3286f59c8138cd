"""Promise: what `check` says of records and owners is true of queues too, which have neither."""

import pytest

from fakes.queue import QueueRig
from fakes.virtual import in_virtual_time
from replicator.cli.check import _check_claim, _check_records, _check_rehearsal
from replicator.config.models import RehearsalConfig
from replicator.model import Severity


@in_virtual_time
async def test_a_target_that_keeps_nothing_is_neither_called_empty_nor_claimed() -> None:
    rig = QueueRig(held=True)
    async with rig.store as store:
        for _ in range(2):
            (finding,) = await _check_claim(await rig.start(), store)
            assert finding.message == "the target passes records on and keeps none, so nobody has to own it"


@in_virtual_time
async def test_where_there_is_no_sample_nothing_is_said_of_its_mapping() -> None:
    rig = QueueRig(held=True)
    async with rig.store:
        assert await _check_records(await rig.start()) == []


@pytest.mark.parametrize(
    ("endpoint", "hosts"),
    [
        ("https://shop.servicebus.windows.net", ["shop.servicebus.windows.net"]),
        ("http://127.0.0.1:5672", []),
        ("http://localhost:1", []),
        ("http://[::1]:1", []),
    ],
)
def test_a_rehearsal_that_is_not_on_this_machine_is_warned_of(endpoint: str, hosts: list[str]) -> None:
    """Nobody else could tell the accounts of a rehearsal from those of production, of which one is demanded."""

    @in_virtual_time
    async def run() -> None:
        rig = QueueRig(held=True)
        async with rig.store:
            pipeline = await rig.start()
            pipeline.target.endpoints = (endpoint,)  # type: ignore[misc]
            found = _check_rehearsal(pipeline, RehearsalConfig(is_rehearsal=True))
            assert [(f.severity, f.where) for f in found] == [
                (Severity.WARNING, "cutover.rehearsal.is_rehearsal") for _ in hosts
            ]
            assert all(host in finding.message for host, finding in zip(hosts, found, strict=True))
            assert _check_rehearsal(pipeline, RehearsalConfig()) == []

    run()

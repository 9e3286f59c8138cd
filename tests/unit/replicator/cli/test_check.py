"""Promise: what `check` says of records and owners is true of queues too, which have neither."""

from fakes.queue import QueueRig
from fakes.virtual import in_virtual_time
from replicator.cli.check import _check_claim, _check_records


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

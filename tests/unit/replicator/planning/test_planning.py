"""Promise: a plan changes nothing, and what cannot be told of one thing hides nothing of the others."""

from fakes.queue import QueueRig
from fakes.rig import Rig
from fakes.triggers import ScriptedTrigger, Thing, World
from fakes.virtual import in_virtual_time
from replicator.model import Depth, Mode, Size
from replicator.planning.model import When
from replicator.planning.pipelines import plan_pipeline, records
from replicator.planning.switching import plan_triggers
from replicator.triggers.looking import Opened
from replicator.triggers.model import Place


def opened(world: World) -> dict[Place, Opened]:
    return {place: Opened(ScriptedTrigger(place, thing, lambda _: None)) for place, thing in world.things.items()}


@in_virtual_time
async def test_each_trigger_is_told_from_what_to_what_and_stays_as_it_is() -> None:
    world = World(stream_aws=Thing(), dns_aws=Thing(visible=False, text="Turn DNS"), stream_azure=Thing("off"))
    async with world.store:
        planned, errors = await plan_triggers(opened(world), world.store)
    assert errors == []
    assert [(one.where, one.text.partition(" (")[0]) for one in planned] == [
        ("triggers.stream.aws", "cordon: on -> off"),
        ("triggers.dns.aws", "cordon: unknown -> off, by hand: Turn DNS off"),
        ("triggers.stream.azure", "activate: off -> on"),
    ]
    assert [thing.calls for thing in world.things.values()] == [[], [], []]


@in_virtual_time
async def test_a_trigger_that_cannot_be_looked_at_is_told_once_and_hides_no_other() -> None:
    world = World(gone_aws=Thing(fails="observe"), stream_aws=Thing(), stream_azure=Thing("off"))
    async with world.store:
        planned, errors = await plan_triggers(opened(world), world.store)
    assert [error.where for error in errors] == ["triggers.gone.aws"]
    assert [one.where for one in planned] == ["triggers.stream.aws", "triggers.stream.azure"]


def test_a_held_queue_is_sent_at_the_switch_and_anything_else_while_it_runs() -> None:
    held = records(Size(7), Depth(5, 1, 1, held=True), Mode.ASYNC)
    assert [(one.when, "7" in one.text) for one in held] == [(When.RUNNING, False), (When.SWITCH, True)]
    (unknown,) = records(Size(), None, Mode.ASYNC)
    assert unknown.text == "all records are written, and every change, until the migration is sealed"
    (copied,) = records(Size(1, 2048), None, Mode.COPY)
    assert copied.text == "about 1 record of 2,048 bytes together are written"


@in_virtual_time
async def test_whose_the_target_is_is_told_and_its_marker_stays() -> None:
    rig = Rig()
    async with rig.store:
        await rig.start()
        before = await rig.pipeline.target.read_marker()
        planned = await plan_pipeline(rig.pipeline, Mode.ASYNC, 10.0, judged=True)
        assert await rig.pipeline.target.read_marker() == before
    texts = {one.when: one.text for one in planned if "marker" in one.text}
    assert texts[When.START] == "the marker, which is ours, gets a new generation"
    assert "every 10 s" in texts[When.RUNNING]


@in_virtual_time
async def test_what_keeps_no_record_has_no_marker() -> None:
    rig = QueueRig(held=True)
    async with rig.store:
        planned = await plan_pipeline(await rig.start(), Mode.ASYNC, 10.0, judged=True)
    assert not any("marker" in one.text for one in planned)

"""Promises of the steps: what was there before is saved first, a crash anywhere loses nothing, an undo is exact."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.triggers import KilledError, Thing, World
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError
from replicator.triggers.model import Place, Side, Step
from replicator.triggers.note import NOTE, Stage
from replicator.triggers.triggers import LOOK_INTERVAL_S, Triggers

WHO = "jane"


def mixed() -> World:
    """Things that are on by being absent or in words, one that is off already, and one that nobody can look at."""
    return World(
        stream_aws=Thing(None),
        stream_azure=Thing("off"),
        nightly_aws=Thing("on"),
        nightly_azure=Thing("OFF"),
        idle_aws=Thing("OFF"),
        hook_aws=Thing("on", visible=False),
        hook_azure=Thing("off", visible=False),
        dns_traffic=Thing("off", visible=False),
    )


async def switch(triggers: Triggers) -> None:
    assert (await triggers.cordon(WHO)).complete
    assert (await triggers.activate(WHO)).complete
    assert (await triggers.traffic(WHO)).complete


def is_switched(world: World) -> bool:
    return all(thing.enabled is (place.side is not Side.AWS) for place, thing in world.things.items())


@in_virtual_time
async def test_a_cordon_turns_one_side_off_in_order_and_an_activation_the_other_on() -> None:
    world = mixed()
    async with world.store:
        triggers = world.process()
        await triggers.cordon(WHO)
        assert not any(thing.enabled for place, thing in world.things.items() if place.side is Side.AWS)
        assert not any(thing.enabled for place, thing in world.things.items() if place.side is not Side.AWS)
        with pytest.raises(ConfigurationError, match=r"stream\.azure: is off, so callers would find nobody. Activate"):
            await triggers.traffic(WHO)
        await triggers.activate(WHO)
        assert not world.things[Place("dns", Side.TRAFFIC)].enabled
        await triggers.traffic(WHO)
        assert is_switched(world)
    assert [detail.partition(":")[0] for *_, detail in world.recorded] == [
        "stream.aws", "nightly.aws", "hook.aws", "stream.azure", "nightly.azure", "hook.azure", "dns.traffic",
    ]  # fmt: skip


@in_virtual_time
async def test_killed_at_any_instruction_a_switch_goes_on_where_it_was() -> None:
    for kill_at in range(1, 200):
        world = mixed()
        async with world.store:
            over = not await _killed(world, kill_at, switch)
            await switch(world.process())
            assert is_switched(world), kill_at
            assert (await world.process().undo(WHO)).complete
            assert world.settings() == mixed().settings(), kill_at
        if over:
            assert kill_at > 40, "it was killed everywhere"
            return
    raise AssertionError("it never came to its end")


@in_virtual_time
async def test_killed_at_any_instruction_of_a_switch_and_again_of_its_undo_everything_comes_back_exactly() -> None:
    """What is absent comes back as absent, and whatever was written in another way as it was written."""
    for kill_at in range(1, 200):
        world = mixed()
        async with world.store:
            over = not await _killed(world, kill_at, switch)
            for kill_undo_at in range(1, 60, 7):
                if not await _killed(world, kill_undo_at, lambda triggers: triggers.undo(WHO)):
                    break
            assert (await world.process().undo(WHO)).complete
            assert world.settings() == mixed().settings(), kill_at
            assert (await world.process().note()).changes == []
        if over:
            return
    raise AssertionError("it never came to its end")


@in_virtual_time
async def test_a_moment_before_azure_is_activated_is_remembered_first_and_stays_until_it_is_activated_anew() -> None:
    """It is where the way back begins, so it must never be later than the first event that is handled there."""
    for kill_at in range(1, 200):
        world = mixed()
        async with world.store:
            over = not await _killed(world, kill_at, switch)
            before = (await world.process().note()).activating_at
            activated = any(thing.calls for place, thing in world.things.items() if place.side is Side.AZURE)
            assert before is not None or not activated, kill_at
            await anyio.sleep(10)
            await switch(world.process())
            after = (await world.process().note()).activating_at
            assert after is not None
            assert not activated or after == before, kill_at
            await world.process().undo(WHO)
            assert (await world.process().note()).activating_at == after
            await anyio.sleep(10)
            await switch(world.process())
            again = (await world.process().note()).activating_at
            assert again is not None
            assert again > after
        if over:
            return
    raise AssertionError("it never came to its end")


async def _killed(world: World, at: int, work: Callable[[Triggers], Awaitable[object]]) -> bool:
    """Whether it came so far."""
    try:
        await work(world.process(at))
    except KilledError:
        return True
    finally:
        world.kill_at = None
    return False


@in_virtual_time
async def test_every_prior_state_is_saved_before_the_first_change() -> None:
    for kill_at in range(1, 200):
        world = mixed()
        async with world.store:
            if not await _killed(world, kill_at, lambda triggers: triggers.cordon(WHO)):
                return
            if any(thing.calls for thing in world.things.values()):
                note = await world.process().note()
                saved = {change.place: change.saved for change in note.changes if change.before is not None}
                assert saved == {
                    place: repr(thing.setting)
                    for place, thing in mixed().things.items()
                    if place.side is Side.AWS and thing.visible
                }
    raise AssertionError("it never came to its end")


@given(st.lists(st.sampled_from(["cordon", "activate", "undo", "kill"]), max_size=12), st.integers(1, 40))
def test_whatever_is_done_in_whatever_order_an_undo_brings_back_what_was_there(steps: list[str], kill_at: int) -> None:
    @in_virtual_time
    async def course() -> None:
        world = mixed()
        async with world.store:
            for number, step in enumerate(steps):
                triggers = world.process(kill_at + number if step == "kill" else None)
                try:
                    await getattr(triggers, "cordon" if step == "kill" else step)(WHO)
                except (KilledError, ConfigurationError):
                    continue
            assert (await world.process().undo(WHO)).complete
            assert world.settings() == mixed().settings()

    course()


@in_virtual_time
async def test_a_second_cordon_does_nothing_and_does_not_take_our_own_doing_for_the_prior_state() -> None:
    world = mixed()
    async with world.store:
        await world.process().cordon(WHO)
        calls = {place: list(thing.calls) for place, thing in world.things.items()}
        await world.process().cordon(WHO)
        assert {place: thing.calls for place, thing in world.things.items()} == calls
        await world.process().undo(WHO)
        assert world.settings() == mixed().settings()


@in_virtual_time
async def test_one_that_somebody_has_turned_on_meanwhile_is_turned_off_again() -> None:
    world = mixed()
    async with world.store:
        await world.process().cordon(WHO)
        world.things[Place("stream", Side.AWS)].setting = "on"
        await world.process().cordon(WHO)
        assert not world.things[Place("stream", Side.AWS)].enabled


@in_virtual_time
async def test_an_undo_leaves_alone_what_was_not_changed() -> None:
    """Somebody turns on what was off before: that is theirs."""
    world = mixed()
    async with world.store:
        await world.process().cordon(WHO)
        world.things[Place("idle", Side.AWS)].setting = "on"
        await world.process().undo(WHO)
        assert world.things[Place("idle", Side.AWS)].setting == "on"


@in_virtual_time
async def test_nothing_is_activated_while_the_other_side_may_be_on() -> None:
    world = mixed()
    async with world.store:
        with pytest.raises(ConfigurationError, match=r"triggers\.stream\.aws: is on.*Cordon first"):
            await world.process().activate(WHO)
        for thing in world.things.values():
            thing.setting = "off"
        with pytest.raises(ConfigurationError, match=r"hook\.aws: is not known to be off"):
            await world.process().activate(WHO)
        assert not any(thing.calls for thing in world.things.values())


@in_virtual_time
async def test_where_one_fails_the_rest_waits_and_the_next_attempt_goes_on() -> None:
    world = mixed()
    async with world.store:
        world.things[Place("nightly", Side.AWS)].fails = "set"
        with pytest.raises(ConfigurationError, match=r"nightly\.aws: cannot be changed\. Mend it"):
            await world.process().cordon(WHO)
        assert not world.things[Place("stream", Side.AWS)].enabled
        assert world.things[Place("hook", Side.AWS)].enabled
        world.things[Place("nightly", Side.AWS)].fails = ""
        assert (await world.process().cordon(WHO)).complete


@in_virtual_time
async def test_services_take_their_time_together_and_a_hook_waits_for_those_before_it() -> None:
    slow = {f"t{number}": Thing(takes_s=30) for number in range(5)}
    world = World(**{f"{name}_aws": thing for name, thing in slow.items()}, hook_aws=Thing(visible=False))
    async with world.store:
        began = elapsed_s()
        assert (await world.process().cordon(WHO)).complete
        assert 30 <= elapsed_s() - began < 35
        assert not any(thing.enabled for thing in world.things.values())
        hook = world.things[Place("hook", Side.AWS)]
        assert hook.due_at >= max(thing.due_at for thing in slow.values())
        assert (await world.process().undo(WHO)).complete
        assert elapsed_s() - began < 70
        assert all(thing.setting is None for thing in slow.values())


@in_virtual_time
async def test_what_cannot_be_put_back_hinders_no_other() -> None:
    world = mixed()
    place = Place("nightly", Side.AWS)
    nightly = world.things[place]
    async with world.store:
        before = world.settings()
        await switch(world.process())
        nightly.fails = "set"
        with pytest.raises(ConfigurationError, match=r"nightly\.aws: cannot be"):
            await world.process().undo(WHO)
        back = world.settings()
        assert {**back, place: None} == {**before, place: None}
        nightly.fails = ""
        assert (await world.process().undo(WHO)).complete
        assert world.settings() == before


@in_virtual_time
async def test_where_one_cannot_be_looked_at_nothing_is_changed() -> None:
    world = mixed()
    async with world.store:
        world.things[Place("nightly", Side.AWS)].fails = "observe"
        with pytest.raises(ConfigurationError, match="cannot be looked at"):
            await world.process().cordon(WHO)
        assert not any(thing.calls for thing in world.things.values())


@in_virtual_time
async def test_one_that_somebody_is_changing_just_now_stands_against_a_step_and_an_activation() -> None:
    """How it was before is not known then, and off is not yet off."""
    world = mixed()
    world.things[Place("nightly", Side.AWS)].settled = False
    async with world.store:
        with pytest.raises(ConfigurationError, match=r"nightly\.aws: is being changed by somebody else"):
            await world.process().cordon(WHO)
        assert not any(thing.calls for thing in world.things.values())
        for thing in world.things.values():
            thing.setting, thing.visible = "off", True
        with pytest.raises(ConfigurationError, match=r"nightly\.aws: is not known to be off"):
            await world.process().activate(WHO)


@in_virtual_time
async def test_a_plan_says_what_would_change_and_changes_nothing() -> None:
    world = mixed()
    async with world.store:
        triggers = world.process()
        planned = {str(p.place): (p.now, p.to, p.change) for p in await triggers.plan(Step.CORDON)}
        assert planned == {
            "stream.aws": (True, False, True),
            "nightly.aws": (True, False, True),
            "idle.aws": (False, False, False),
            "hook.aws": (None, False, True),
        }
        assert await triggers.plan(Step.UNDO) == []
        assert await world.store.load_note("", NOTE) is None
        await switch(triggers)
        back = [(str(p.place), p.to) for p in await triggers.plan(Step.UNDO)]
        assert back == [
            ("dns.traffic", False), ("hook.azure", False), ("nightly.azure", False), ("stream.azure", False),
            ("hook.aws", True), ("nightly.aws", True), ("stream.aws", True),
        ]  # fmt: skip
        assert is_switched(world)


class TestManualSteps:
    """Of a person, who signs off what was done."""

    def world(self) -> World:
        return World(
            first_aws=Thing("on"),
            dns_aws=Thing("on", visible=False, text="Take the name out of DNS"),
            last_aws=Thing("on"),
            last_azure=Thing("off"),
        )

    @in_virtual_time
    async def test_one_is_pending_until_it_is_signed_off_and_what_follows_waits_for_it(self) -> None:
        world = self.world()
        async with world.store:
            progress = await world.process().cordon(WHO)
            assert progress.pending is not None
            assert (str(progress.pending.place), progress.pending.step) == ("dns.aws", "aws-off")
            assert progress.pending.text == "Take the name out of DNS off"
            assert world.things[Place("last", Side.AWS)].enabled, "it comes later in the config"
            with pytest.raises(ConfigurationError, match=r"dns\.aws: is not known|last\.aws: is on"):
                await world.process().activate(WHO)
            await world.process().sign_off("dns", "aws-off", "joe")
            assert (await world.process().cordon(WHO)).complete
            assert ("joe", "sign a trigger off", "dns", "dns.aws: off") in world.recorded

    @in_virtual_time
    async def test_an_undo_waits_for_a_person_too(self) -> None:
        world = self.world()
        async with world.store:
            await world.process().cordon(WHO)
            await world.process().sign_off("dns", "aws-off", "joe")
            await world.process().cordon(WHO)
            progress = await world.process().undo(WHO)
            assert progress.pending is not None
            assert progress.pending.step == "aws-on"
            assert world.things[Place("last", Side.AWS)].enabled, "newest first"
            assert world.things[Place("first", Side.AWS)].enabled, "what can be looked at waits for nobody"
            await world.process().sign_off("dns", "aws-on", "joe")
            assert (await world.process().undo(WHO)).complete
            assert (await world.process().note()).changes == []
            assert world.settings() == self.world().settings()

    @in_virtual_time
    async def test_behind_a_person_no_hook_is_called_and_no_other_side_is_touched_in_an_undo(self) -> None:
        dns, hook = Thing("on", visible=False, text="Turn DNS"), Thing("on", visible=False)
        world = World(writers_aws=hook, dns_aws=dns, late_aws=Thing("on"), late_azure=Thing("off"))
        async with world.store:
            await world.process().cordon(WHO)
            await world.process().sign_off("dns", "aws-off", "joe")
            assert (await world.process().cordon(WHO)).complete
            progress = await world.process().undo(WHO)
            assert progress.pending is not None
            assert [str(place) for place in progress.done] == ["late.aws"]
            assert not hook.enabled, "what lets writers in comes after the person"

    @in_virtual_time
    async def test_one_that_left_the_config_hinders_no_other_of_its_side(self) -> None:
        world = World(one_aws=Thing("on"), gone_aws=Thing("on"), other_aws=Thing("on"))
        async with world.store:
            await world.process().cordon(WHO)
            with pytest.raises(ConfigurationError, match=r"gone\.aws: was changed and is not in the config"):
                await world.process(without="gone").undo(WHO)
            assert [thing.enabled for thing in world.things.values()] == [True, False, True]

    @in_virtual_time
    async def test_what_is_signed_off_already_is_not_asked_for_again(self) -> None:
        world = self.world()
        async with world.store:
            await world.process().sign_off("dns", "aws-off", "joe")
            assert (await world.process().cordon(WHO)).complete
            change = (await world.process().note()).change(Place("dns", Side.AWS))
            assert change is not None
            assert change.stage is Stage.ALREADY
            assert (await world.process().undo(WHO)).complete

    @pytest.mark.parametrize(
        ("name", "step", "why"),
        [
            ("dns", "aws", "is no step"),
            ("dns", "gcp-off", "is no step"),
            ("dns", "azure-off", "no trigger dns.azure"),
            ("nope", "aws-off", "no trigger nope.aws"),
            ("first", "aws-off", "can be looked at"),
        ],
    )
    def test_only_what_nobody_can_look_at_is_signed_off(self, name: str, step: str, why: str) -> None:
        @in_virtual_time
        async def course() -> None:
            world = self.world()
            async with world.store:
                with pytest.raises(ConfigurationError, match=why):
                    await world.process().sign_off(name, step, WHO)
                assert (await world.process().note()).signed == {}

        course()


@in_virtual_time
async def test_a_hook_that_was_begun_and_not_ended_is_not_believed_to_have_worked() -> None:
    """An Azure twin that may be on is not told to be off."""
    place = Place("hook", Side.AZURE)
    world = World(hook_azure=Thing("off", visible=False))
    async with world.store:
        await world.process().sign_off("hook", "azure-off", WHO)
        world.things[place].fails = "set"
        with pytest.raises(ConfigurationError):
            await world.process().activate(WHO)
        seen = (await world.process().observe())[place]
        assert seen.state is not None
        assert seen.state.enabled is None


@in_virtual_time
async def test_nor_is_one_whose_undo_was_begun_and_not_ended() -> None:
    place = Place("hook", Side.AWS)
    world = World(hook_aws=Thing("on", visible=False))
    async with world.store:
        await world.process().cordon(WHO)
        world.things[place].fails = "set"
        with pytest.raises(ConfigurationError):
            await world.process().undo(WHO)
        seen = (await world.process().observe())[place]
        assert seen.state is not None
        assert seen.state.enabled is None
        world.things[place].fails = ""
        assert (await world.process().undo(WHO)).complete
        assert world.things[place].enabled


@in_virtual_time
async def test_an_undo_turns_nothing_on_at_aws_before_all_at_azure_is_off() -> None:
    """Services take their time; and one was turned off again by a second cordon, so it is the newest change."""
    world = World(stream_aws=Thing("on"), late_aws=Thing("off"), stream_azure=Thing("off", takes_s=60))
    azure, aws = (
        world.things[Place("stream", Side.AZURE)],
        [thing for p, thing in world.things.items() if p.side == "aws"],
    )
    both: list[float] = []

    async def look() -> None:
        while True:
            if any(thing.enabled for thing in aws) and (azure.enabled or elapsed_s() < azure.due_at):
                both.append(elapsed_s())
            await anyio.sleep(0.5)

    async with world.store:
        await world.process().cordon(WHO)
        await world.process().activate(WHO)
        aws[1].setting = "on"
        await world.process().cordon(WHO)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            assert str((await world.process().plan(Step.UNDO))[0].place) == "stream.azure"
            assert (await world.process().undo(WHO)).complete
            tasks.cancel_scope.cancel()
    assert not both
    assert all(thing.enabled for thing in aws)


@in_virtual_time
async def test_an_undo_that_cannot_turn_azure_off_turns_nothing_on_at_aws() -> None:
    world = World(stream_aws=Thing("on"), stream_azure=Thing("off"))
    async with world.store:
        await world.process().cordon(WHO)
        await world.process().activate(WHO)
        world.things[Place("stream", Side.AZURE)].fails = "set"
        with pytest.raises(ConfigurationError, match="cannot be changed"):
            await world.process().undo(WHO)
        assert not world.things[Place("stream", Side.AWS)].enabled
        world.things[Place("stream", Side.AZURE)].fails = ""
        assert (await world.process().undo(WHO)).complete


@in_virtual_time
async def test_one_that_has_left_the_config_is_not_forgotten() -> None:
    world = mixed()
    async with world.store:
        await world.process().cordon(WHO)
        with pytest.raises(ConfigurationError, match=r"stream\.aws: was changed and is not in the config any more"):
            await world.process(without="stream").undo(WHO)
        assert (await world.process().undo(WHO)).complete
        assert world.settings() == mixed().settings()


@in_virtual_time
async def test_a_note_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    world = mixed()
    async with world.store:
        await world.store.save_note("", NOTE, '{"changes": [{}]}')
        for call in (Triggers.cordon, Triggers.activate, Triggers.undo):
            with pytest.raises(ConfigurationError, match="cannot be read"):
                await call(world.process(), WHO)
        assert not any(thing.calls for thing in world.things.values())


@in_virtual_time
async def test_a_look_that_fails_is_unknown_and_hides_no_other() -> None:
    world = mixed()
    async with world.store:
        world.things[Place("stream", Side.AZURE)].fails = "observe"
        triggers = world.process()
        seen = await triggers.observe()
        assert seen[Place("stream", Side.AZURE)].state is None
        assert "cannot be looked at" in seen[Place("stream", Side.AZURE)].failure
        assert all(seen[place].state for place in world.things if place != Place("stream", Side.AZURE))
        assert all(look.at <= elapsed_s() < look.at + LOOK_INTERVAL_S for look in seen.values())


@in_virtual_time
async def test_two_steps_at_a_time_are_refused() -> None:
    world = mixed()
    async with world.store:
        triggers = world.process()
        async with triggers._alone("a cordon", Step.CORDON):
            for step in (triggers.cordon, triggers.activate, triggers.undo):
                with pytest.raises(ConfigurationError, match="a cordon is under way"):
                    await step(WHO)
        assert (await triggers.cordon(WHO)).complete

"""Promises of a daemon with triggers: it looks at them, says so, and is not ready while what it sees may fire."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio

from fakes.daemons import LIMITS, Place
from fakes.triggers import ScriptedTrigger, Thing
from fakes.virtual import in_virtual_time
from replicator.config.models import (
    MigrationConfig,
    PipelineConfig,
    SourceConfig,
    TargetConfig,
    TriggerConfig,
    TriggerSideConfig,
)
from replicator.engine.daemon import Daemon
from replicator.registry import TriggerContext, TriggerKind
from replicator.telemetry import Metrics
from replicator.triggers import model
from replicator.triggers.model import Side
from replicator.triggers.triggers import LOOK_INTERVAL_S

OTHER_LOOKS_S = 2.0


class Triggered(Place):
    """One pipeline, with a trigger at both sides."""

    def __init__(self) -> None:
        super().__init__("orders")
        self.things = {Side.AWS: Thing("on"), Side.AZURE: Thing("on")}
        self.contexts: list[TriggerContext] = []

    def triggered(self) -> Daemon:
        pipeline = PipelineConfig(source=SourceConfig(type="scripted"), target=TargetConfig(type="memory"))
        side = TriggerSideConfig(type="scripted")
        entry = TriggerConfig(pipeline="orders", aws=side, azure=side)
        config = MigrationConfig(
            migration="shop", limits=LIMITS, pipelines={"orders": pipeline}, triggers={"one": entry}
        )
        registry = self._registry()
        registry.triggers = {"scripted": TriggerKind(frozenset(Side), TriggerSideConfig, self._trigger)}
        return Daemon(config, registry, self.store.beside(), Metrics(), adopt=False)

    @asynccontextmanager
    async def _trigger(self, _: TriggerSideConfig, context: TriggerContext) -> AsyncIterator[ScriptedTrigger]:
        self.contexts.append(context)
        side = Side(context.where.rpartition(".")[2])
        yield ScriptedTrigger(model.Place("one", side), self.things[side], lambda _: None)


def outcome(daemon: Daemon) -> tuple[str, object]:
    checks = daemon.cutover().pipelines["orders"].checks
    return next((str(c.outcome), c.measured) for c in checks if c.name == "azure_triggers_off")


@in_virtual_time
async def test_it_is_not_ready_while_the_azure_side_is_on_or_cannot_be_looked_at() -> None:
    place = Triggered()
    async with place.store, anyio.create_task_group() as tasks:
        daemon = place.triggered()
        tasks.start_soon(daemon.run)
        await daemon.started.wait()
        await anyio.sleep(OTHER_LOOKS_S)
        assert outcome(daemon)[0] == "fail"
        assert any("azure_triggers_off fails" in reason for reason in daemon.cutover().reasons)
        place.things[Side.AZURE].setting = "off"
        await anyio.sleep(LOOK_INTERVAL_S + OTHER_LOOKS_S)
        assert outcome(daemon)[0] == "pass"
        place.things[Side.AZURE].fails = "observe"
        await anyio.sleep(LOOK_INTERVAL_S + OTHER_LOOKS_S)
        assert outcome(daemon)[0] == "unknown"
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_what_a_step_did_is_seen_at_once_and_survives_the_daemon() -> None:
    place = Triggered()
    place.things[Side.AZURE].setting = "off"
    async with place.store:
        for work in ("cordon", "activate"):
            async with anyio.create_task_group() as tasks:
                daemon = place.triggered()
                tasks.start_soon(daemon.run)
                await daemon.started.wait()
                await getattr(daemon.triggers(), work)("jane")
                await anyio.sleep(OTHER_LOOKS_S)
                assert outcome(daemon)[0] == ("pass" if work == "cordon" else "fail")
                daemon.stop()
        assert {side: thing.setting for side, thing in place.things.items()} == {Side.AWS: "off", Side.AZURE: "on"}
        actions = await place.store.actions()
        assert [(a.actor, a.name, a.pipeline) for a in actions] == [
            ("jane", "turn a trigger off", "orders"), ("jane", "turn a trigger on", "orders"),
        ]  # fmt: skip


@in_virtual_time
async def test_hooks_are_told_what_is_going_on() -> None:
    place = Triggered()
    async with place.store, anyio.create_task_group() as tasks:
        daemon = place.triggered()
        tasks.start_soon(daemon.run)
        await daemon.started.wait()
        told: Mapping[str, object] = await place.contexts[0].told()
        assert told["migration"] == "shop"
        assert told["ready"] is False
        report = told["report"]
        assert isinstance(report, dict)
        assert report["migration"] == "shop"
        assert "actions" not in report
        assert set(told) == {"migration", "step", "phase", "ready", "reasons", "report"}
        tasks.cancel_scope.cancel()

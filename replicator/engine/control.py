"""What an operator may change about a pipeline while it runs; stored, so that a restart changes nothing."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from replicator.delivery import Delivery
from replicator.engine.gate import Gate
from replicator.engine.standing import Standing
from replicator.errors import ConfigurationError
from replicator.model import Budgets, PipelineState, R
from replicator.ports import Source
from replicator.telemetry import PipelineTelemetry


def budgets_of(source: Source[R], delivery: Delivery) -> Budgets:
    """Those in force in this process."""
    budget, units = source.budget, delivery.units_per_s
    return Budgets(
        source_units=None if budget is None else budget.limit_per_s,
        target_units=math.inf if units is None else units,
        concurrency=delivery.most,
    )


def apply_budgets(source: Source[R], delivery: Delivery, budgets: Budgets) -> None:
    """Puts them in force in this process. Where one is None, it stays as it is."""
    in_force = budgets_of(source, delivery)
    if source.budget is not None:
        source.budget.set_limit(budgets.source_units or source.budget.limit_per_s)
    units = budgets.target_units or in_force.target_units
    most = budgets.concurrency or delivery.most
    delivery.limit(units_per_s=None if units == math.inf else units, most=most)


class Control:
    """Of one pipeline. `gate` is closed while it is paused: what was read before is finished all the same.

    Whatever changes something raises ConfigurationError for a pipeline that has failed.
    """

    def __init__(
        self, pipeline: str, source: Source[R], delivery: Delivery, standing: Standing, telemetry: PipelineTelemetry
    ) -> None:
        self.gate = Gate()
        self.configured = Budgets()
        self._parts = 1
        self._where = f"pipelines.{pipeline}"
        self._source = source
        self._delivery = delivery
        self._standing = standing
        self._telemetry = telemetry

    @property
    def budgets(self) -> Budgets:
        """Those in force, of all replicas together; `configured` are those without anybody's doing."""
        wanted, configured = self._standing.state.budgets, self.configured
        return Budgets(
            source_units=None if self._source.budget is None else wanted.source_units or configured.source_units,
            target_units=wanted.target_units or configured.target_units,
            concurrency=wanted.concurrency or configured.concurrency,
        )

    @property
    def share(self) -> Budgets:
        """What each replica may take."""
        whole, parts = self.budgets, self._parts
        return Budgets(
            source_units=None if whole.source_units is None else whole.source_units / parts,
            target_units=None if whole.target_units is None else whole.target_units / parts,
            concurrency=None if whole.concurrency is None else max(1, whole.concurrency // parts),
        )

    def divide(self, parts: int) -> None:
        """From now on so many replicas share the budgets."""
        if parts != self._parts:
            self._parts = parts
            apply_budgets(self._source, self._delivery, self.share)

    def take_up(self) -> None:
        """Puts what the store remembers into effect. Called once the source is connected: it knows its budget then."""
        self.configured = budgets_of(self._source, self._delivery)
        self._apply()

    async def pause(self) -> None:
        """Nothing more is read but what was asked for already, until it is resumed. Idempotent."""
        await self._change(lambda state: replace(state, paused=True))

    async def resume(self) -> None:
        """Goes on where it was. Idempotent."""
        await self._change(lambda state: replace(state, paused=False))

    async def limit(self, changes: Mapping[str, float | None]) -> None:
        """Changes budgets by name (those of `Budgets`): infinity is no limit, None what is configured.

        Raises ConfigurationError for the units of a source that has no budget.
        """
        if "source_units" in changes and self._source.budget is None:
            raise ConfigurationError(
                f"{self._where}.source", "has no budget: reading it costs production nothing", "Leave it out"
            )
        known: Mapping[str, object] = changes
        await self._change(lambda state: replace(state, budgets=replace(state.budgets, **known)))  # type: ignore[arg-type]  # its members

    async def _change(self, rule: Callable[[PipelineState], PipelineState]) -> None:
        if self._standing.is_failed:
            raise ConfigurationError(self._where, "has failed", "Adopt its target first, with run --adopt")
        await self._standing.change(rule)
        self._apply()
        state = self._standing.state
        self._telemetry.log.info("changed by an operator", paused=state.paused, budgets=str(state.budgets))

    def _apply(self) -> None:
        (self.gate.close if self._standing.state.paused else self.gate.open)()
        apply_budgets(self._source, self._delivery, self.share)

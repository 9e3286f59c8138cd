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


class Control:
    """Of one pipeline. `gate` is closed while it is paused: what was read before is finished all the same.

    Whatever changes something raises ConfigurationError for a pipeline that has failed.
    """

    def __init__(
        self, pipeline: str, source: Source[R], delivery: Delivery, standing: Standing, telemetry: PipelineTelemetry
    ) -> None:
        self.gate = Gate()
        self.configured = Budgets()
        self._where = f"pipelines.{pipeline}"
        self._source = source
        self._delivery = delivery
        self._standing = standing
        self._telemetry = telemetry

    @property
    def budgets(self) -> Budgets:
        """Those in force; `configured` are those without anybody's doing."""
        source = self._source.budget
        units = self._delivery.units_per_s
        return Budgets(
            source_units=None if source is None else source.limit_per_s,
            target_units=math.inf if units is None else units,
            concurrency=self._delivery.most,
        )

    def take_up(self) -> None:
        """Puts what the store remembers into effect. Called once the source is connected: it knows its budget then."""
        self.configured = self.budgets
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
        state, configured, source = self._standing.state, self.configured, self._source.budget
        (self.gate.close if state.paused else self.gate.open)()
        wanted = state.budgets
        if source is not None:
            source.set_limit(wanted.source_units or configured.source_units or source.limit_per_s)
        units = wanted.target_units or configured.target_units
        self._delivery.limit(
            units_per_s=None if units == math.inf else units,
            most=wanted.concurrency or configured.concurrency or self._delivery.most,
        )

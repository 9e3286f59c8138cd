"""Which connectors there are. The command line fills it; the engine only asks it by name."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic

from replicator.config.models import SourceConfig, StateConfig, TargetConfig, TriggerSideConfig
from replicator.delivery import Delivery
from replicator.errors import ConfigurationError
from replicator.model import Finding, Mode, R
from replicator.ports import Source, StateStore, Target, Trigger
from replicator.telemetry import PipelineTelemetry
from replicator.triggers.model import Side


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is given beside its config. `where` is its path in the config, for error messages; in mode copy
    nothing will be followed. `siblings` are the places of the sources of the migration's other pipelines.
    """

    where: str
    telemetry: PipelineTelemetry
    mode: Mode = Mode.ASYNC
    siblings: frozenset[tuple[str, ...]] = frozenset()


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What a target is given beside its config; all its requests go through `delivery`."""

    where: str
    telemetry: PipelineTelemetry
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class RecordKind(Generic[R]):
    """What can be told of records of one kind: what finds one at its source, beside its key and version, and what it
    holds, as text. Neither raises anything for a record that a source has handed out.
    """

    reference: Callable[[R], Mapping[str, str]] = lambda _: {}
    body: Callable[[R], str] = repr


@dataclass(frozen=True, slots=True)
class SourceKind(Generic[R]):
    """A kind of source: the records it hands out (`document`, …), its config, and how to open one."""

    record: str
    config: type[SourceConfig]
    open: Callable[[Any, SourceContext], AbstractAsyncContextManager[Source[R]]]


@dataclass(frozen=True, slots=True)
class TargetKind(Generic[R]):
    """A kind of target: the records it takes, its config, and how to open one."""

    record: str
    config: type[TargetConfig]
    open: Callable[[Any, TargetContext], AbstractAsyncContextManager[Target[R]]]


async def nothing_told() -> Mapping[str, object]:
    """Where nothing is known of the migration."""
    return {}


@dataclass(frozen=True, slots=True)
class TriggerContext:
    """What a trigger is given beside its config. `where` is its path in the config, for error messages; `told` is what
    is known of the migration, for hooks; `sources` are the places of what the pipelines receive from.
    """

    where: str
    told: Callable[[], Awaitable[Mapping[str, object]]] = nothing_told
    sources: frozenset[tuple[str, ...]] = frozenset()


@dataclass(frozen=True, slots=True)
class TriggerKind:
    """A kind of trigger: the sides on which it may be, its config, and how to open one, which calls nobody yet."""

    sides: frozenset[Side]
    config: type[TriggerSideConfig]
    open: Callable[[Any, TriggerContext], AbstractAsyncContextManager[Trigger]]


@dataclass(frozen=True, slots=True)
class StateKind:
    """A kind of state store: its config, how to open one, how to look at one, and what `check` finds of it.

    What is looked at is a store as it is now. Whatever is changed through it goes nowhere, and somebody else's lease
    that has run out, as far as can be told at once, is free. Opening or looking raises ConfigurationError where the
    store cannot be used.
    """

    config: type[StateConfig]
    open: Callable[[Any], AbstractAsyncContextManager[StateStore]]
    look: Callable[[Any], AbstractAsyncContextManager[StateStore]]
    check: Callable[[Any], Awaitable[list[Finding]]]


@dataclass(slots=True)
class Registry:
    """Kinds by the name that `type` has in a config, and of records by the name that these give them."""

    sources: dict[str, SourceKind[Any]] = field(default_factory=dict)
    targets: dict[str, TargetKind[Any]] = field(default_factory=dict)
    records: dict[str, RecordKind[Any]] = field(default_factory=dict)
    triggers: dict[str, TriggerKind] = field(default_factory=dict)
    states: dict[str, StateKind] = field(default_factory=dict)

    def triggers_of(self, side: Side) -> dict[str, TriggerKind]:
        """The kinds that may be on this side."""
        return {name: kind for name, kind in self.triggers.items() if side in kind.sides}

    def pair(self, pipeline: str, source: str, target: str) -> tuple[SourceKind[Any], TargetKind[Any]]:
        """The kinds of a pipeline. Raises ConfigurationError where they do not carry the same records."""
        kinds = self.sources[source], self.targets[target]
        if kinds[0].record != kinds[1].record:
            raise ConfigurationError(
                f"pipelines.{pipeline}", f"{source} records cannot go to {target}", "Choose a target for these records"
            )
        return kinds

"""The state store that a config names, whatever its kind."""

from contextlib import AbstractAsyncContextManager

from replicator.config.models import StateConfig
from replicator.model import Finding
from replicator.ports import StateStore
from replicator.registry import Registry


def open_state(config: StateConfig, registry: Registry) -> AbstractAsyncContextManager[StateStore]:
    """To be worked with. Raises ConfigurationError where it cannot be used."""
    return registry.states[config.type].open(config)


def look_at_state(config: StateConfig, registry: Registry) -> AbstractAsyncContextManager[StateStore]:
    """To be read: what is changed through it goes nowhere. Raises ConfigurationError where it cannot be used."""
    return registry.states[config.type].look(config)


async def check_state(config: StateConfig, registry: Registry) -> list[Finding]:
    """What an operator should know of where it is kept; nothing is changed."""
    return await registry.states[config.type].check(config)

"""What is done to a namespace beside sending. Pure."""

from connectors.azure.servicebus.config import ServiceBusTargetConfig
from replicator.planning.model import Intended, When


def planned_of_queue(config: ServiceBusTargetConfig, *, missing: bool) -> list[Intended]:
    """`missing`: it was looked for and is not there, which only `create: true` lets pass."""
    created = Intended(When.START, f"queue {config.queue} is created")
    kept = f"queue {config.queue}: nothing is received from it, and no setting is changed"
    return [
        *([created] if missing else []),
        *_claims(config),
        Intended(When.NEVER, kept),
    ]


def _claims(config: ServiceBusTargetConfig) -> list[Intended]:
    if config.claim_check is None:
        return []
    name = config.claim_check.container
    created = Intended(When.START, f"container {name} is created if it is missing")
    written = Intended(When.RUNNING, f"container {name}: bodies that are too large for the queue are written")
    return [*([created] if config.create else []), written]

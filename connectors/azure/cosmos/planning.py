"""What is written to an account beside records and marker. Pure."""

from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.containers import Existing
from connectors.azure.cosmos.sidecar import SIDECAR
from replicator.planning.model import Intended, When


def planned_of_container(config: CosmosTargetConfig, existing: Existing) -> list[Intended]:
    """What is missing is made with `create: true` alone; otherwise connecting has refused already."""
    found = ((config.container, existing.container), (config.marker_container, existing.marker))
    created = [
        Intended(When.START, f"container {name} of database {config.database} is created, and the database if missing")
        for name, properties in found
        if properties is None
    ]
    where = f"container {config.container}"
    kept = f"{where}: no setting is changed; only documents are"
    return [
        *created,
        Intended(When.RUNNING, f"{where}: documents are created, replaced and deleted, each with a member {SIDECAR}"),
        Intended(When.RUNNING, f"{where}: while copying, deleted records leave tombstones, purged when it is done"),
        *_foreign(config),
        Intended(When.NEVER, kept if created else f"{kept}. It exists, and so does {config.marker_container}"),
    ]


def _foreign(config: CosmosTargetConfig) -> list[Intended]:
    if config.foreign == "keep":
        return []
    text = f"container {config.container}: documents that replicator did not write are deleted by run --adopt"
    return [Intended(When.START, text)]

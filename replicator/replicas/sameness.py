"""What replicas must have in common to work together. Pure."""

import hashlib
import json

from replicator.config.models import MigrationConfig


def fingerprint(config: MigrationConfig) -> str:
    """The SHA-256 of all in a config that decides what becomes of records. Where a replica itself listens does not."""
    pipelines = {
        name: {
            "mode": pipeline.mode,
            "source": pipeline.source.model_dump(mode="json"),
            "target": pipeline.target.model_dump(mode="json"),
        }
        for name, pipeline in config.pipelines.items()
    }
    alike = {
        "migration": config.migration,
        "keys": config.keys,
        "limits": config.limits.model_dump(mode="json"),
        "dead_letters": config.dead_letters.model_dump(mode="json"),
        "pipelines": pipelines,
    }
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()

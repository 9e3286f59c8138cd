"""Findings about a container. Nothing is changed."""

from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.containers import Existing
from connectors.azure.cosmos.mapping import MappingRules
from replicator.model import Finding, Severity


def check_container(config: CosmosTargetConfig, existing: Existing, rules: MappingRules, where: str) -> list[Finding]:
    """Called once connected, so what is missing may be created and what exists has the right shape."""
    findings = [
        Finding(
            Severity.OK,
            where,
            f"documents get their id from {', '.join(rules.id_from)} and are partitioned by "
            f"{', '.join(rules.partition_paths)}",
        )
    ]
    for name, properties in ((config.container, existing.container), (config.marker_container, existing.marker)):
        state = "exists" if properties is not None else "is missing and will be created"
        findings.append(Finding(Severity.OK, where, f"container {name} {state}"))
    if existing.container is None:
        return findings
    if "defaultTtl" not in existing.container:
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"container {config.container} has no time to live: records expire when the source deletes them",
                "Set its default time to live to -1 (on, no default) if the table has one",
            )
        )
    if existing.container.get("uniqueKeyPolicy", {}).get("uniqueKeys"):
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"container {config.container} has unique keys, so records that the table allows may be refused",
                "Make sure that the table's records are unique in the same way",
            )
        )
    return findings

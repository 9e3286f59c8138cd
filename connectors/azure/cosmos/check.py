"""Findings about an account and a container. What a run would refuse at once is refused when connecting already."""

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.azure.cosmos.account import READS_OWN_WRITES, Account
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.containers import Existing
from connectors.azure.cosmos.mapping import MappingRules
from replicator.model import Finding, Marker, Severity

SHORT_KEYS_BYTES = 101
"""Where a container is not made for large partition keys, a value may have no more."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found: all that the findings are made of."""

    config: CosmosTargetConfig
    account: Account
    existing: Existing
    rules: MappingRules
    marker: Marker | None
    empty: bool


def findings(looked: Looked, where: str) -> list[Finding]:
    """Called once connected, so what is missing may be created, and what exists may be used and has the right shape."""
    return [Finding(f.severity, where, f.message, f.fix) for f in _all(looked)]


def _all(looked: Looked) -> Iterator[Finding]:
    yield _ok(
        f"documents get their id from {', '.join(looked.rules.id_from)} and are partitioned by "
        f"{', '.join(looked.rules.partition_paths)}"
    )
    yield _consistency(looked.account)
    yield from _regions(looked.account, looked.config.endpoint)
    for name, properties in (
        (looked.config.container, looked.existing.container),
        (looked.config.marker_container, looked.existing.marker),
    ):
        state = "is missing and will be created" if properties is None else "exists and may be read and written"
        yield _ok(f"container {name} {state}")
    yield from _settings(looked)
    yield _ownership(looked)


def _consistency(account: Account) -> Finding:
    """Guards, the sweep and the marker rest on reading what was written before."""
    if account.consistency in READS_OWN_WRITES:
        return _ok(f"reads see what was written before ({account.consistency} consistency)")
    return _warning(
        f"the account's default consistency is {account.consistency}: reads may miss what was just written, so a "
        "repair or the sweep after a copy may overlook documents, and the marker may seem to be another daemon's",
        "Set the account's default consistency to Session or stronger until the switch",
    )


def _regions(account: Account, endpoint: str) -> Iterator[Finding]:
    """Order and conditions hold within one write region; between two the later `_ts` wins."""
    if not account.several_write_regions:
        return
    if account.is_writable_region(endpoint):
        yield _ok("writes go to one of the account's write regions")
        return
    yield _warning(
        "the account takes writes in several regions, and its own endpoint may lead to another one at any time: "
        "between regions neither order nor conditions hold",
        f"Name the endpoint of one region ({', '.join(account.writable)}), or let the account write in one region "
        "until the switch",
    )


def _settings(looked: Looked) -> Iterator[Finding]:
    name, properties = looked.config.container, looked.existing.container
    if properties is None:
        return
    if "defaultTtl" not in properties:
        yield _warning(
            f"container {name} has no time to live: records expire when the source deletes them",
            "Set its default time to live to -1 (on, no default) if the table has one",
        )
    if properties.get("uniqueKeyPolicy", {}).get("uniqueKeys"):
        yield _warning(
            f"container {name} has unique keys, so records that the table allows may be refused",
            "Make sure that the table's records are unique in the same way",
        )
    if properties["partitionKey"].get("version", 1) < 2:
        yield Finding(
            Severity.NOTE,
            "",
            f"container {name} takes no values above {SHORT_KEYS_BYTES} bytes in its partition key",
            "If the table has longer ones, name a container with large partition keys; it cannot be changed later",
        )


def _ownership(looked: Looked) -> Finding:
    """What the target alone can tell; only a run compares it with its state store."""
    name = looked.config.container
    if looked.marker is not None and looked.marker.obstacle:
        return Finding(
            Severity.ERROR,
            "",
            f"container {name} cannot be gone on with: {looked.marker.obstacle}",
            "Put the config back, or adopt the container with run --adopt; see docs/recovery.md",
        )
    if looked.marker is not None:
        return Finding(
            Severity.NOTE,
            "",
            f"container {name} is claimed by migration {looked.marker.migration} in epoch {looked.marker.epoch}",
            "A run needs the state store that has claimed it, or --adopt; see docs/recovery.md",
        )
    if looked.empty:
        return _ok(f"container {name} is empty, and no migration has claimed it")
    return Finding(
        Severity.ERROR,
        "",
        f"container {name} is not empty, and no migration has claimed it",
        "Name an empty container, or adopt it with run --adopt; see docs/recovery.md",
    )


def _ok(message: str) -> Finding:
    return Finding(Severity.OK, "", message)


def _warning(message: str, fix: str) -> Finding:
    return Finding(Severity.WARNING, "", message, fix)

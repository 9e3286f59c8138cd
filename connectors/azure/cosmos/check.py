"""Findings about an account and a container. What a run would refuse at once is refused when connecting already."""

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.azure.cosmos.account import READS_OWN_WRITES, Account
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.containers import Existing
from connectors.azure.cosmos.mapping import MappingRules
from connectors.azure.findings import note, ok, ownership, placed, warning
from replicator.model import Finding, Marker

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
    return placed(_all(looked), where)


def _all(looked: Looked) -> Iterator[Finding]:
    yield ok(
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
        yield ok(f"container {name} {state}")
    yield from _settings(looked)
    yield ownership(looked.config.container, looked.marker, empty=looked.empty)


def _consistency(account: Account) -> Finding:
    """Guards, the sweep and the marker rest on reading what was written before."""
    if account.consistency in READS_OWN_WRITES:
        return ok(f"reads see what was written before ({account.consistency} consistency)")
    return warning(
        f"the account's default consistency is {account.consistency}: reads may miss what was just written, so a "
        "repair or the sweep after a copy may overlook documents, and the marker may seem to be another daemon's",
        "Set the account's default consistency to Session or stronger until the switch",
    )


def _regions(account: Account, endpoint: str) -> Iterator[Finding]:
    """Order and conditions hold within one write region; between two the later `_ts` wins."""
    if not account.several_write_regions:
        return
    if account.is_writable_region(endpoint):
        yield ok("writes go to one of the account's write regions")
        return
    yield warning(
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
        yield warning(
            f"container {name} has no time to live: records expire when the source deletes them",
            "Set its default time to live to -1 (on, no default) if the table has one",
        )
    if properties.get("uniqueKeyPolicy", {}).get("uniqueKeys"):
        yield warning(
            f"container {name} has unique keys, so records that the table allows may be refused",
            "Make sure that the table's records are unique in the same way",
        )
    if properties["partitionKey"].get("version", 1) < 2:
        yield note(
            f"container {name} takes no values above {SHORT_KEYS_BYTES} bytes in its partition key",
            "If the table has longer ones, name a container with large partition keys; it cannot be changed later",
        )

"""Findings about an account and its containers. What a run would refuse at once is refused when connecting already."""

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.containers import Account, Existing, Retention
from connectors.azure.findings import error, note, ok, ownership, placed, warning
from replicator.model import Finding, Marker


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found: all that the findings are made of. `fetches` is None where bytes are only to be streamed."""

    config: BlobTargetConfig
    account: Account
    existing: Existing
    retention: Retention | None
    fetches: bool | None
    marker: Marker | None
    empty: bool


def findings(looked: Looked, where: str) -> list[Finding]:
    """Called once connected, so what is missing may be created, and what exists may be used."""
    return placed(_all(looked), where)


def _all(looked: Looked) -> Iterator[Finding]:
    config = looked.config
    yield from _account(looked.account, config)
    yield from _archive(looked.account, config)
    for name, properties in (
        (config.container, looked.existing.container),
        (config.marker_container, looked.existing.marker),
    ):
        state = "is missing and will be created" if properties is None else "exists and may be read and written"
        yield ok(f"container {name} {state}")
    yield from _immutability(looked)
    yield from _retention(looked.retention)
    yield from _transfer(looked)
    yield ownership(looked.config.container, looked.marker, empty=looked.empty)


def _account(account: Account, config: BlobTargetConfig) -> Iterator[Finding]:
    if account.kind is None:
        yield warning(
            "the account may not be asked what it is: with a hierarchical namespace it cannot be a target, and access "
            "tiers are taken for supported",
            "Permit Microsoft.Storage/storageAccounts/blobServices/getInfo/action, or look at the account yourself",
        )
        return
    yield ok(f"the account is of kind {account.kind} ({account.sku}), without a hierarchical namespace")
    if any(config.tiers.values()) and not account.has_tiers:
        yield note(f"accounts of kind {account.kind} have no access tiers, so tiers is left out of account")


def _archive(account: Account, config: BlobTargetConfig) -> Iterator[Finding]:
    archived = sorted(name for name, tier in config.tiers.items() if tier == "Archive")
    if archived and account.has_tiers:
        yield warning(
            f"objects of storage class {', '.join(archived)} go to the tier Archive, where they can be neither read "
            "nor replaced: what changes afterwards becomes a dead letter",
            "Say Cold in tiers, and archive by a lifecycle rule of the account after the switch",
        )


def _immutability(looked: Looked) -> Iterator[Finding]:
    found = looked.existing.container
    if found is None:
        return
    if found.has_immutability_policy or found.has_legal_hold:
        yield error(
            f"container {looked.config.container} is immutable (a retention policy or a legal hold): what has changed "
            "or is gone at the source could be neither overwritten nor deleted",
            "Name another container, or lift that until the switch",
        )
    elif found.immutable_storage_with_versioning_enabled:
        yield note(f"container {looked.config.container} may hold immutable versions, which stay when blobs change")


def _retention(retention: Retention | None) -> Iterator[Finding]:
    if retention is None:
        yield note("the service's settings may not be read: whether it keeps what is overwritten or deleted is unknown")
    elif retention.deleted_days is not None:
        yield note(f"what is overwritten or deleted is kept, and paid for, for {retention.deleted_days} days")


def _transfer(looked: Looked) -> Iterator[Finding]:
    if looked.fetches is None:
        return
    if looked.fetches:
        yield ok("the account can fetch bytes from URLs; whether it reaches the source shows with the first object")
    else:
        yield warning(
            "the account does not fetch bytes from URLs, so they will be streamed through the daemon",
            "Say transfer: stream, or find out why",
        )

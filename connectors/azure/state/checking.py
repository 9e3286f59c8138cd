"""What `check` finds of the container of the state."""

from azure.storage.blob import ContainerProperties

from connectors.azure.findings import error, ok, placed
from connectors.azure.probing import probed
from connectors.azure.state.blobs import ContainerBlobs
from connectors.azure.state.config import BlobStateConfig
from connectors.azure.state.opening import WHERE, blobs_of, find, open_container, patience_s
from replicator.model import Finding

PROBE = "check.json"
"""Never there."""

NO_ETAG = "0x0"
"""That of no blob."""


async def check(config: BlobStateConfig) -> list[Finding]:
    """Whether it can be used; nothing is written. Raises ConfigurationError where it cannot."""
    async with open_container(config) as container:
        found = await find(container, config)
        if found is None:
            findings = [ok(f"container {config.container} is missing and will be created")]
        else:
            findings = [_mutable(found, config), await _writable(blobs_of(container, config), config)]
        return placed(findings, f"{WHERE}.container")


def _mutable(found: ContainerProperties, config: BlobStateConfig) -> Finding:
    if found.has_immutability_policy or found.has_legal_hold:
        return error(
            f"container {config.container} is immutable (a retention policy or a legal hold): no position could be "
            "saved twice",
            "Name another container",
        )
    return ok(f"the state is kept in {config.place}")


async def _writable(blobs: ContainerBlobs, config: BlobStateConfig) -> Finding:
    """Asks to replace a blob on a condition that never holds: permissions are looked at first."""
    made = await probed(f"{WHERE}.container", lambda: blobs.put(PROBE, b"", NO_ETAG), patience_s(config))
    if made is not None:
        return error(
            "the service does not keep conditions: a write went through that must not",
            "Name a storage account, and nothing in between that drops headers",
        )
    return ok(f"container {config.container} may be read and written")

"""Which clouds were chosen to come from containers, and by which fixtures tests reach them."""

from __future__ import annotations

import pytest

from containers.clouds import Cloud

CHOSEN: pytest.StashKey[frozenset[Cloud]] = pytest.StashKey()

REACHED = {
    "aws": Cloud.AWS,
    "azurite": Cloud.AZURITE,
    "cosmos_client": Cloud.COSMOS,
    "bus": Cloud.SERVICEBUS,
}
"""Fixtures through which a test needs no more of a cloud than its SDK does."""

EMBEDDED = {
    "cosmos_server": (Cloud.COSMOS, "looks into the server, or steers it"),
    "broker": (Cloud.SERVICEBUS, "looks into the broker, or steers it"),
}
"""Fixtures that are the embedded server itself."""


def is_chosen(request: pytest.FixtureRequest, cloud: Cloud) -> bool:
    """Whether a fixture takes this cloud from a container: not where the test needs the embedded server as well."""
    embedded = {name for name, (of, _) in EMBEDDED.items() if of is cloud}
    return cloud in request.config.stash[CHOSEN] and not embedded & set(request.fixturenames)

"""What is found of a target, from what was looked at."""

from typing import Any

import pytest

from connectors.azure.blob.check import Looked, findings
from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.containers import Account, Existing, Retention
from replicator.model import Severity

TIERED, WITHOUT = Account("StorageV2", "Standard_LRS", hierarchical=False), Account("BlockBlobStorage", "Premium_LRS")


def archiving(account: Account, **settings: Any) -> list[str]:
    config = BlobTargetConfig(type="blob", endpoint="https://shop.blob.core.windows.net", container="media", **settings)
    looked = Looked(config, account, Existing(), Retention(), fetches=None, marker=None, empty=True)
    return [f.message for f in findings(looked, "t") if f.severity is Severity.WARNING and "Archive" in f.message]


def test_what_goes_to_the_archive_is_warned_of() -> None:
    """It can be neither read nor replaced there: what changes next is a dead letter."""
    (message,) = archiving(TIERED, tiers={"GLACIER": "Archive", "STANDARD_IA": "Cool", "DEEP_ARCHIVE": "Archive"})
    assert "DEEP_ARCHIVE, GLACIER" in message


@pytest.mark.parametrize(
    ("account", "settings"), [(TIERED, {}), (WITHOUT, {"tiers": {"GLACIER": "Archive"}}), (TIERED, {"tiers": {}})]
)
def test_nothing_is_said_where_nothing_is_archived(account: Account, settings: dict[str, Any]) -> None:
    assert archiving(account, **settings) == []

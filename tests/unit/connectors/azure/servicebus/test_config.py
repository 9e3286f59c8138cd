"""What a Service Bus target may not be told: said before anything is called."""

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.servicebus.config import ClaimCheckConfig, ServiceBusTargetConfig

SIGNED = "https://account.blob.core.windows.net/payloads?sv=2026-02-06&sig=secret"
PLACE = {"type": "servicebus", "queue": "orders", "namespace": "shop.servicebus.windows.net"}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (ServiceBusTargetConfig, {**PLACE, "s3_pointers": "rewrite", "s3_buckets": {"payloads": SIGNED}}),
        (ClaimCheckConfig, {"endpoint": SIGNED, "container": "claims"}),
    ],
)
def test_a_signed_url_is_refused_without_being_shown(model: Any, fields: dict[str, Any]) -> None:
    """It would be sent to whoever reads the queue, or printed with the endpoints."""
    with pytest.raises(ValidationError, match="shared access signature") as refused:
        model(**fields)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("container", ["a" * 64, "a-" * 33 + "a"])
def test_a_name_longer_than_that_of_any_container_is_refused(container: str) -> None:
    with pytest.raises(ValidationError):
        ClaimCheckConfig(endpoint="https://account.blob.core.windows.net", container=container)
    with pytest.raises(ValidationError):
        BlobTargetConfig(type="blob", endpoint="https://account.blob.core.windows.net", container=container)

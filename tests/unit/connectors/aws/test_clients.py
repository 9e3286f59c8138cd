"""Promise: a client that cannot be set up says which field is wrong."""

from pathlib import Path

import pytest

from connectors.aws.clients import open_client
from connectors.aws.config import AwsSourceConfig
from replicator.errors import ConfigurationError


async def test_a_bundle_of_authorities_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    config = AwsSourceConfig(type="dynamodb", region="eu-central-1", ca_bundle=tmp_path / "nowhere.pem")
    with pytest.raises(ConfigurationError, match="nowhere") as refused:
        async with open_client("dynamodb", config, "pipelines.orders.source"):
            pass
    assert refused.value.where == "pipelines.orders.source.ca_bundle"

"""Promises of the target's config: what cannot work is refused with its field, and the key never shows."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from connectors import registry
from connectors.azure.cosmos.config import CosmosTargetConfig
from replicator.config.loading import parse_config
from replicator.errors import ConfigurationError

SECRET = "c2VjcmV0"

LEAST = {"type": "cosmos", "endpoint": "https://shop.documents.azure.com", "database": "shop", "container": "orders"}


def made(**fields: Any) -> CosmosTargetConfig:
    return CosmosTargetConfig.model_validate({**LEAST, **fields})


def test_the_least_that_must_be_said() -> None:
    config = made()
    assert (config.key, config.partition_key, config.id, config.create) == (None, None, None, False)
    assert config.marker_container == "replicator"
    for name in LEAST:
        with pytest.raises(ValidationError) as refused:
            CosmosTargetConfig.model_validate({field: value for field, value in LEAST.items() if field != name})
        assert refused.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "shop.documents.azure.com"),
        ("endpoint", "ftp://shop"),
        ("endpoint", "https://"),
        ("endpoint", "https://.example"),
        ("endpoint", "https://[::1"),
        ("endpoint", "https://shop:99999"),
        ("proxy", "proxy:3128"),
        ("database", ""),
        ("database", "a/b"),
        ("container", "a#b"),
        ("container", "x" * 256),
        ("marker_container", "a?b"),
        ("partition_key", []),
        ("partition_key", ["customer"]),
        ("partition_key", ["/"]),
        ("partition_key", ["/a", "/b", "/c", "/d"]),
        ("id", []),
        ("throughput", 399),
        ("autoscale_max_throughput", 999),
        ("max_concurrency", 0),
        ("max_concurrency", 1001),
        ("max_request_units", 0),
        ("foreign", "maybe"),
        ("unknown", 1),
    ],
)
def test_what_cannot_work_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        made(**{field: value})
    assert refused.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize(
    ("key", "problem", "fix"),
    [
        ("", "is empty", "leave the field out for DefaultAzureCredential"),
        (f"AccountKey={SECRET}==;", "is no account key", "Copy the whole primary or secondary key"),
        (f"{SECRET}==\n", "is no account key", "without spaces or anything else around it"),
        (f"{SECRET}abc", "is no account key", "Copy the whole primary or secondary key"),
        ("ключ", "is no account key", "Copy the whole primary or secondary key"),
    ],
)
def test_a_key_that_is_none_is_told_what_one_is(key: str, problem: str, fix: str) -> None:
    message = refused(key="${KEY}", KEY=key)
    assert f"config: pipelines.orders.target.key: {problem}" in message
    assert fix in message
    assert SECRET not in message
    assert "base64" not in message


@pytest.mark.parametrize("name", ["", "a/b", "x" * 256])
def test_a_name_is_told_what_one_is(name: str) -> None:
    assert "target.database: must have 1 to 255 characters, none of them / \\ ? #" in refused(database=name)


def refused(*, KEY: str = "", **fields: str) -> str:  # noqa: N803 — a variable of the environment
    """What is said of a config with such a target."""
    pipeline = {"source": {"type": "dynamodb", "table": "orders"}, "target": {**LEAST, **fields}}
    text = yaml.safe_dump({"migration": "shop", "pipelines": {"orders": pipeline}})
    with pytest.raises(ConfigurationError) as raised:
        parse_config(text, registry(), {"KEY": KEY})
    return str(raised.value)


def test_one_throughput_alone() -> None:
    assert made(throughput=400).throughput == 400
    assert made(autoscale_max_throughput=1000).autoscale_max_throughput == 1000
    with pytest.raises(ValidationError, match="exclude each other"):
        made(throughput=400, autoscale_max_throughput=1000)


def test_the_marker_is_no_record() -> None:
    with pytest.raises(ValidationError, match="marker_container must be another container"):
        made(marker_container="orders")


def test_the_key_never_shows() -> None:
    config = made(key="c2VjcmV0")
    assert config.key is not None
    assert config.key.get_secret_value() == "c2VjcmV0"
    assert "c2VjcmV0" not in repr(config) + str(config.model_dump()) + config.model_dump_json()


def test_a_config_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        made().create = True  # type: ignore[misc]


def test_a_target_is_its_container_however_it_is_reached() -> None:
    here = made(endpoint="https://Shop.example/")
    assert here.place == made(endpoint="https://shop.example", proxy="http://proxy:3128", id=["a"]).place
    assert here.place != made(endpoint="https://shop.example", container="others").place

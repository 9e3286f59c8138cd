"""Promises: a client that cannot be set up says which field is wrong; clients share what is dear and no more."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.loaders import JSONFileLoader
from pydantic import ValidationError

from connectors.aws.clients import open_client
from connectors.aws.config import AwsSourceConfig
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from replicator.errors import ConfigurationError

WHERE = "pipelines.orders.source"

CONFIG = AwsSourceConfig(type="dynamodb", region="eu-central-1", endpoint="http://127.0.0.1:9")

MODEL = {
    "version": "2.0",
    "metadata": {
        "apiVersion": "2026-01-01",
        "endpointPrefix": "preview",
        "jsonVersion": "1.0",
        "protocol": "json",
        "serviceId": "Preview",
        "signatureVersion": "v4",
        "targetPrefix": "Preview",
        "uid": "preview-2026-01-01",
    },
    "operations": {},
    "shapes": {},
}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    give_credentials(monkeypatch, "first")


def give_credentials(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


async def identity(config: AwsSourceConfig) -> tuple[str, str]:
    """Whom a client signs for, and where it sends to."""
    async with open_client("dynamodb", config, WHERE) as client:
        url = urlsplit(await client.generate_presigned_url("describe_table", Params={"TableName": "orders"}))
    return parse_qs(url.query)["X-Amz-Credential"][0].split("/")[0], f"{url.scheme}://{url.netloc}"


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


async def refusal(**fields: str) -> ConfigurationError:
    config = AwsSourceConfig.model_validate({"type": "dynamodb", **fields})
    with pytest.raises(ConfigurationError) as refused:
        async with open_client("dynamodb", config, WHERE):
            pass
    return refused.value


async def test_a_region_that_is_none_is_named() -> None:
    refused = await refusal(region="not a region")
    assert refused.where == f"{WHERE}.region"
    assert "AWS_DEFAULT_REGION" in refused.fix
    assert (await refusal()).where == f"{WHERE}.region"


async def test_a_region_of_the_environment_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "not a region")
    assert (await refusal()).where == f"{WHERE}.region"


async def test_a_bundle_of_the_environment_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
    refused = await refusal(region="eu-central-1")
    assert refused.where == f"{WHERE}.ca_bundle"
    assert "/nowhere.pem" in refused.problem


async def test_a_profile_that_is_not_there_is_named() -> None:
    refused = await refusal(region="eu-central-1", profile="nobody")
    assert refused.where == f"{WHERE}.profile"
    assert "nobody" in refused.problem


@pytest.mark.parametrize("field", ["endpoint", "streams_endpoint"])
@pytest.mark.parametrize("value", ["", "dynamodb", "dynamodb:8000", "ftp://dynamodb"])
def test_an_endpoint_is_a_url(field: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DynamoDbSourceConfig.model_validate({"type": "dynamodb", "table": "orders", field: value})
    assert refused.value.errors()[0]["loc"] == (field,)


@pytest.mark.parametrize("field", ["region", "profile"])
def test_an_empty_text_is_none(field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AwsSourceConfig.model_validate({"type": "dynamodb", field: ""})
    assert refused.value.errors()[0]["loc"] == (field,)


async def test_a_bundle_of_authorities_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    config = AwsSourceConfig(type="dynamodb", region="eu-central-1", ca_bundle=tmp_path / "nowhere.pem")
    with pytest.raises(ConfigurationError, match="nowhere") as refused:
        async with open_client("dynamodb", config, WHERE):
            pass
    assert refused.value.where == "pipelines.orders.source.ca_bundle"


async def test_the_description_of_a_service_is_read_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    await identity(CONFIG)
    read: list[str] = []
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: read.append(path))
    await identity(CONFIG)
    assert read == []


async def test_clients_share_neither_credentials_nor_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await identity(CONFIG) == ("first", "http://127.0.0.1:9")
    give_credentials(monkeypatch, "second")
    elsewhere = CONFIG.model_copy(update={"endpoint": "http://127.0.0.1:10"})
    assert await identity(elsewhere) == ("second", "http://127.0.0.1:10")


async def test_descriptions_of_the_operators_own_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As botocore promises: `AWS_DATA_PATH` names them, here after a client without it."""
    await identity(CONFIG)
    folder = tmp_path / "preview" / "2026-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(MODEL))
    (folder / "endpoint-rule-set-1.json").write_text(json.dumps({"version": "1.0", "parameters": {}, "rules": []}))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    async with open_client("preview", CONFIG, WHERE) as client:
        assert client.meta.service_model.service_id == "Preview"


class CalledError(Exception):
    """Instead of a request."""


@pytest.mark.parametrize(("service", "operation"), [("dynamodb", "list_tables"), ("dynamodbstreams", "list_streams")])
async def test_what_is_called_is_the_address_that_check_shows(
    service: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials of a role tell the account, by which DynamoDB would have an address of its own, which neither a
    firewall nor the zone of a private endpoint knows.
    """
    called: list[str] = []

    def refuse(request: AWSPreparedRequest, **_: object) -> None:
        called.append(request.url)
        raise CalledError

    monkeypatch.setenv("AWS_ACCOUNT_ID", "111122223333")
    config = AwsSourceConfig(type="dynamodb", region="eu-central-1")
    async with open_client(service, config, WHERE) as client:
        client.meta.events.register("before-send", refuse)
        with pytest.raises(CalledError):
            await getattr(client, operation)()
        assert [urlsplit(url).hostname for url in called] == [urlsplit(client.meta.endpoint_url).hostname]

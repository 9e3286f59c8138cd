"""Promise: Bicep assigns the roles that the connectors say they need, each by its own id, and no others."""

import json
import re
from pathlib import Path

import yaml
from unit.docs.pages import blocks

from connectors import registry
from connectors.azure import roles
from replicator.config.loading import parse_config

BICEP = Path(__file__).parents[3] / "deploy" / "bicep"

COSMOS = "Cosmos DB Built-in Data Contributor"


def known() -> dict[str, str]:
    read: dict[str, str] = json.loads((BICEP / "roles.json").read_text("utf-8"))
    return read


def test_the_roles_are_those_of_the_connectors() -> None:
    assert set(known()) == {roles.BLOB_OWNER, roles.BUS_SENDER, COSMOS, roles.BLOB_CONTRIBUTOR}
    assert known()[COSMOS] == roles.COSMOS_CONTRIBUTOR
    assert len(set(known().values())) == len(known())


def test_each_is_assigned_to_what_it_is_for() -> None:
    """By the name of the thing that it is scoped to; never to an account, but for what names its scope itself."""
    code = (BICEP / "permissions.bicep").read_text("utf-8")
    found = re.findall(r"scope: (\w+)(?:\[index\])?\n.*?roles\['([\w -]+)'\]", code, flags=re.DOTALL)
    assert found == [("targets", roles.BLOB_OWNER), ("queues", roles.BUS_SENDER), ("state", roles.BLOB_CONTRIBUTOR)]
    assert "scope: '${cosmos.id}/dbs/${cosmosDatabase}'" in code


def test_what_is_secret_is_said_to_be() -> None:
    """It would stand in the history of deployments otherwise. The config may name what is nobody's business."""
    code = (BICEP / "main.bicep").read_text("utf-8")
    secret = set(re.findall(r"@secure\(\)\n(?:@.*\n)*param (\w+)", code))
    assert secret == {"config", "token", "awsAccessKeyId", "awsSecretAccessKey"}
    (block,) = re.findall(r"^      secrets: \[\n(.*?)^      \]", code, flags=re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"value: (\w+)", block)) == secret


def test_the_config_on_the_page_shares_its_state_and_listens_where_nobody_reaches_it() -> None:
    """Replicas of an app do not reach each other: one of a new revision waits instead of being refused."""
    (shown,) = blocks("docs/azure-container-apps.md", "yaml")
    pipelines = {"orders": {"source": {"type": "sqs", "queue": "q"}, "target": {"type": "servicebus", "queue": "q"}}}
    pipelines["orders"]["source"]["region"] = "eu-central-1"
    pipelines["orders"]["target"]["namespace"] = "shop.servicebus.windows.net"
    config = parse_config(
        yaml.safe_dump({"migration": "shop", **yaml.safe_load(shown), "pipelines": pipelines}), registry()
    )
    assert config.state.model_dump()["type"] == "blob"
    assert config.replicas is not None
    assert config.replicas.advertised == "127.0.0.1"

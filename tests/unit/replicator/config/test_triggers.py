"""Promises of triggers in a config: in their order, of kinds that fit their side, mistakes named with their field."""

from pathlib import Path

import pytest
import yaml

from connectors import registry
from replicator.config.loading import load_config, parse_config
from replicator.config.models import EndpointConfig, MigrationConfig
from replicator.errors import ConfigurationError

BASE = """
migration: shop
pipelines:
  orders:
    source: {type: dynamodb, table: orders, max_read_units: 1}
    target: {type: cosmos, endpoint: "https://c.test", database: d, container: c}
"""

APP = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/shop"


def parsed(triggers: str) -> MigrationConfig:
    return parse_config(f"{BASE}\ntriggers: {triggers}", registry(), {})


def test_they_keep_their_order_and_on_and_off_are_names() -> None:
    config = parsed("{z: {aws: {type: manual, off: o, on: n}}, a: {aws: {type: command, off: [x], on: [y]}}}")
    assert list(config.triggers) == ["z", "a"]
    manual = config.triggers["z"].aws
    assert manual is not None
    assert manual.model_dump() == {"type": "manual", "off": "o", "on": "n"}


def test_what_a_tool_has_made_of_on_and_off_is_understood() -> None:
    written = yaml.safe_dump(yaml.safe_load(f"{BASE}\ntriggers: {{x: {{aws: {{type: manual, off: o, on: n}}}}}}"))
    assert "false: o" in written
    side = parse_config(written, registry(), {}).triggers["x"].aws
    assert side is not None
    assert side.model_dump() == {"type": "manual", "off": "o", "on": "n"}


@pytest.mark.parametrize("word", ["true", "yes", "on"])
def test_a_truth_may_still_be_written_in_words(word: str) -> None:
    tree = yaml.safe_load(BASE)
    tree["pipelines"]["orders"]["verification"] = {"continuous": "WORD"}
    config = parse_config(yaml.safe_dump(tree).replace("WORD", word), registry(), {})
    assert config.pipelines["orders"].verification.continuous is True


@pytest.mark.parametrize(
    ("triggers", "where", "problem"),
    [
        ("{x: {}}", "triggers.x", "has no side"),
        ("{x: {pipeline: orders, aws: {type: rule, name: r}}}", "triggers.x", "no Azure side"),
        ("{x: {pipeline: nope, azure: {type: manual, off: o, on: n}}}", "", "names a pipeline that does not exist"),
        ("{x: {aws: {type: nope}}}", "triggers.x.aws.type", "names no kind there is"),
        (f"{{x: {{aws: {{type: function, app: {APP}, function: f}}}}}}", "triggers.x.aws.type", "names no kind"),
        ("{x: {azure: {type: rule, name: r}}}", "triggers.x.azure.type", "names no kind"),
        ("{x: {aws: {type: rule}}}", "triggers.x.aws.name", "is missing"),
        ("{x: {aws: {type: rule, name: r, buss: b}}}", "triggers.x.aws.buss", "unknown field. Did you mean bus"),
        ("{x: {aws: {type: event_source_mapping}}}", "triggers.x.aws", "must be named in one way"),
        ("{x: {aws: {type: event_source_mapping, uuid: u, function: f}}}", "triggers.x.aws", "in one way"),
        ("{x: {azure: {type: function, app: shop, function: f}}}", "triggers.x.azure.app", ""),
        (f"{{x: {{azure: {{type: function, app: {APP}, function: f, endpoint: 'http://a'}}}}}}", "triggers.x.azure",
         "without encryption"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_field(triggers: str, where: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        parsed(triggers)
    assert where in found.value.where
    assert problem in str(found.value)


def test_a_bundle_is_taken_from_the_folder_of_the_config(tmp_path: Path) -> None:
    path = tmp_path / "migration.yaml"
    path.write_text(f"{BASE}\ntriggers: {{x: {{aws: {{type: rule, name: r, ca_bundle: ca.pem}}}}}}")
    side = load_config(path, registry(), {}).triggers["x"].aws
    assert isinstance(side, EndpointConfig)
    assert side.ca_bundle == tmp_path / "ca.pem"

"""Promise: whatever things are called, the config that is written is valid, and holds them as they are."""

import re
import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import registry
from connectors.aws.discovery.model import Bucket, Catalogue, Discovery, Entry, Kind, Queue, Resource, Table
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.drafting.config_text import comment, config_text, scalar
from connectors.drafting.proposal import propose
from replicator.config.loading import parse_config
from replicator.config.models import MigrationConfig

THERE = Catalogue("aws", "eu-central-1", "111122223333")

SET = {
    "COSMOS_ENDPOINT": "https://shop.documents.azure.com:443/",
    "COSMOS_DATABASE": "shop",
    "BLOB_ENDPOINT": "https://shop.blob.core.windows.net",
    "SERVICEBUS_NAMESPACE": "shop.servicebus.windows.net",
    "FUNCTION_APP_ID": "/subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/shop",
}


def table(name: str, *keys: str, view_type: str | None = "NEW_IMAGE") -> Table:
    return Table(name, keys or ("id",), view_type, True, None, ("because",))


def bucket(name: str) -> Bucket:
    return Bucket(name, "eu-central-1", None, False, None, ("because",))


def queue(name: str) -> Queue:
    return Queue(name, name.endswith(".fifo"), None, None, ("because",))


def parsed(found: Discovery) -> MigrationConfig:
    """As the project's own loader has it."""
    proposal = propose(found)
    text = config_text(proposal, {"region": "eu-central-1"})
    assert set(re.findall(r"^[^#\n]*(?<!\$)\$\{(\w+)\}", text, flags=re.MULTILINE)) == set(proposal.blanks)
    return parse_config(text, registry(), {**dict.fromkeys(proposal.blanks, "twin"), **SET})


AWS_NAME = st.text(string.ascii_letters + string.digits + "_-.", min_size=3, max_size=80)


@settings(max_examples=15)
@given(st.sets(AWS_NAME, min_size=1, max_size=6), st.text(min_size=1, max_size=20))
def test_every_name_of_a_table_and_of_its_key_gives_a_valid_config(names: set[str], key: str) -> None:
    config = parsed(Discovery(THERE, ("f",), tables=tuple(table(name, key) for name in sorted(names))))
    assert {pipeline.source.place[2] for pipeline in config.pipelines.values()} == names
    for pipeline in config.pipelines.values():
        assert isinstance(pipeline.target, CosmosTargetConfig)
        assert pipeline.target.id == (key,)


@pytest.mark.parametrize(
    "found",
    [
        Discovery(THERE, ("f",), buckets=(bucket("a.b"), bucket("a-b"), bucket("replicator"), bucket("a--b"))),
        Discovery(THERE, ("f",), queues=(queue("a.fifo"), queue("A"), queue("a"), queue("_x_"))),
        Discovery(THERE, ("f",), tables=(table("on"), table("1e5"), table("null"), table("replicator"))),
        Discovery(THERE, ("F_1",), tables=(table("t", "id"),), buckets=(bucket("t-t"),), queues=(queue("t"),)),
    ],
    ids=["buckets", "queues", "tables", "all"],
)
def test_names_that_come_too_close_are_kept_apart(found: Discovery) -> None:
    config = parsed(found)
    assert len(config.pipelines) == len([*found.tables, *found.buckets, *found.queues])


def test_entry_points_lead_to_their_pipelines_and_have_blank_twins() -> None:
    orders = Resource(Kind.TABLE, "Orders")
    entries = (
        Entry("f-Orders", {"type": "event_source_mapping", "uuid": "u"}, "f", orders, "arn", "mapping u"),
        Entry("f-Orders", {"type": "rule", "name": "r", "bus": "shop"}, "f", None, "arn", "rule r\nof: bus", off=True),
        Entry("app-id", {"type": "schedule", "name": "s"}, "f", None, "arn", "schedule s"),
    )
    found = Discovery(THERE, ("f",), tables=(table("Orders"),), entries=entries)
    config = parsed(found)
    assert config_text(propose(found), {}).count("it is off now, and a switch would turn its twin on") == 1
    assert {name: trigger.pipeline for name, trigger in config.triggers.items()} == {
        "f-orders": "orders",
        "f-orders-2": None,
        "app-id": None,
    }
    assert all(trigger.aws and trigger.azure for trigger in config.triggers.values())


@given(st.text(max_size=40))
def test_a_text_comes_back_as_it_was_and_a_comment_is_one_line(text: str) -> None:
    assert yaml.safe_load(scalar(text)) == text.replace("${", "$${")
    assert len(comment(text).splitlines()) == 1


def test_what_looks_like_a_reference_to_the_environment_is_kept_as_it_is() -> None:
    pipeline = parsed(Discovery(THERE, ("f",), tables=(table("t", "${HOME}"),))).pipelines["t"]
    assert isinstance(pipeline.target, CosmosTargetConfig)
    assert (pipeline.target.id, pipeline.target.partition_key) == (("${HOME}",), ('/"${HOME}"',))

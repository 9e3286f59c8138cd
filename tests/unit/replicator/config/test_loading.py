"""Promises of the config: every mistake is named with its field and its fix, and no value ever shows."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field, ValidationError

from replicator.config import (
    EndpointConfig,
    LogConfig,
    MigrationConfig,
    PipelineConfig,
    SourceConfig,
    SqliteStateConfig,
    StateConfig,
    TargetConfig,
)
from replicator.config.loading import json_schema, load_config, parse_config
from replicator.errors import ConfigurationError
from replicator.registry import Registry, SourceKind, StateKind, TargetKind
from replicator.state.kind import sqlite

SECRET = "s3cr3t-that-must-not-show"


class TableConfig(SourceConfig):
    type: Literal["table"] = Field(description="Names the connector.")
    name: str
    segments: int = 4
    units: float | None = None
    consistent: bool = False
    code: str = Field(default="a", pattern="^a$")
    when: date | None = None
    paths: tuple[Annotated[str, Field(max_length=1)], ...] | None = Field(default=None, min_length=1)


class BucketConfig(SourceConfig):
    type: Literal["bucket"] = Field(description="Names the connector.")
    bucket: str


class ContainerConfig(TargetConfig):
    type: Literal["container"] = Field(description="Names the connector.")
    key: str = Field(description="What opens it.")
    name: str = Field(default="", description="Which one.")

    @property
    def place(self) -> tuple[str, ...]:
        return (self.name,) if self.name else ()


class BoxConfig(EndpointConfig, StateConfig):
    type: Literal["box"] = Field(description="Names the kind.")
    label: str = Field(description="Which one.")


@asynccontextmanager
async def _open(config: Any, context: Any = None) -> AsyncIterator[Any]:
    yield None


async def _check(config: Any) -> list[Any]:
    return []


BOX = StateKind(BoxConfig, _open, _open, _check)


def registry(*, buckets: bool = False) -> Registry:
    sources: dict[str, SourceKind[Any]] = {"table": SourceKind("document", TableConfig, _open)}
    if buckets:
        sources["bucket"] = SourceKind("object", BucketConfig, _open)
    return Registry(
        sources, {"container": TargetKind("document", ContainerConfig, _open)}, states={"sqlite": sqlite(), "box": BOX}
    )


def tree(**pipeline: Any) -> dict[str, Any]:
    orders = {"source": {"type": "table", "name": "t"}, "target": {"type": "container", "key": "k"}, **pipeline}
    return {"migration": "shop", "pipelines": {"orders": orders}}


def parse(config: dict[str, Any], *, buckets: bool = False, **environment: str) -> MigrationConfig:
    return parse_config(yaml.safe_dump(config), registry(buckets=buckets), environment)


def refused(config: dict[str, Any], *, buckets: bool = False, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        parse(config, buckets=buckets, **environment)
    message = str(raised.value)
    assert SECRET not in message
    return message


def test_a_small_config_has_every_default() -> None:
    config = parse(tree())
    assert config.migration == "shop"
    assert config.pipelines["orders"].mode == "async"
    assert isinstance(config.pipelines["orders"].source, TableConfig)
    assert isinstance(config.pipelines["orders"].target, ContainerConfig)
    assert config.limits.lease_s > config.limits.request_lifetime_s >= config.limits.request_timeout_s


def test_nothing_changes_after_parsing() -> None:
    with pytest.raises(ValidationError):
        parse(tree()).migration = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "where", "fix"),
    [
        ({"sourcee": {}}, "pipelines.orders.sourcee", "Did you mean source?"),
        ({"discover_intervall_s": 3}, "pipelines.orders.discover_intervall_s", "Did you mean discover_interval_s?"),
        ({"source": {"type": "table", "name": "t", "segmnts": 3}}, "orders.source.segmnts", "Did you mean segments?"),
        ({"zzzzzzzzzz": 1}, "pipelines.orders.zzzzzzzzzz", "Remove it"),
        ({"source": {"type": "table"}}, "orders.source.name", "is missing"),
        ({"source": {"type": "table", "name": "t", "segments": SECRET}}, "source.segments", "must be a whole number"),
        ({"source": {"type": "table", "name": [SECRET]}}, "source.name", "must be a text"),
        ({"source": {"type": "table", "name": True}}, "source.name", "must be a text; put it in quotes"),
        ({"source": SECRET}, "pipelines.orders.source", "must be a mapping of fields"),
        ({"target": {"type": "container", "key": "k", "max_concurrency": 0}}, "target.max_concurrency", "at least 1."),
        ({"target": {"type": "container", "key": "k", "max_concurrency": 9999}}, "max_concurrency", "at most 1,000."),
        ({"target": {"type": "container", "key": "k", "max_concurrency": 1.5}}, "max_concurrency", "a whole number"),
        ({"target": {"type": "container", "key": "k", "max_request_units": 0}}, "max_request_units", "above 0"),
        ({"target": {"type": "container", "key": "k", "max_request_units": SECRET}}, "request_units", "be a number"),
        ({"mode": SECRET}, "pipelines.orders.mode", "must be 'async'"),
        ({"discover_interval_s": 601}, "pipelines.orders.discover_interval_s", "must be at most 600."),
        ({"cutover": {"waive": {"lag": "never"}}}, "cutover.waive.lag", "must be 'verification' or 'foreign'"),
        ({"cutover": {"waive": {"foreign": ""}}}, "cutover.waive.foreign", "is too short or empty"),
        ({"source": {"type": "table", "name": "t", "code": SECRET}}, "orders.source.code", "has a form that is not"),
        ({"source": {"type": "table", "name": "t", 3: SECRET}}, "orders.source.3", "must be a text; put it in quotes"),
        ({"source": {"type": "table", "name": "t", "when": SECRET}}, "orders.source.when", "is of another kind"),
    ],
)
def test_every_mistake_is_named_with_its_field_and_its_fix(change: dict[str, Any], where: str, fix: str) -> None:
    message = refused(tree(**change))
    assert where in message
    assert fix in message


@pytest.mark.parametrize("unknown", ["title", "propertys", "defaults", "typee", "max_batches", "tabl", "segmnets"])
@pytest.mark.parametrize("buckets", [False, True])
def test_only_fields_that_may_stand_there_are_suggested(unknown: str, buckets: bool) -> None:
    """No word of the JSON Schema, and no field of another place or connector."""
    source = {"type": "bucket", "bucket": "b"} if buckets else {"type": "table", "name": "t"}
    model = BucketConfig if buckets else TableConfig
    places = (
        ({**tree(), unknown: 1}, MigrationConfig),
        (tree(**{unknown: 1}), PipelineConfig),
        (tree(source={**source, unknown: 1}), model),
        ({**tree(), "log": {unknown: 1}}, LogConfig),
    )
    for config, there in places:
        suggested = re.findall(r"Did you mean (\w+)\?", refused(config, buckets=buckets))
        assert set(suggested) <= set(there.model_fields)


def test_a_suggestion_is_made_at_every_level() -> None:
    assert "Did you mean limits?" in refused({**tree(), "limit": {}})
    assert "Did you mean level?" in refused({**tree(), "log": {"levl": "info"}})
    assert "Did you mean bucket?" in refused(tree(source={"type": "bucket", "buckt": "b"}), buckets=True)


def test_a_mistake_in_a_list_is_told_once() -> None:
    """Not that the list were empty, too."""
    message = refused(tree(source={"type": "table", "name": "t", "paths": ["aa"]}))
    assert "source.paths.0: must have 1 characters at most" in message
    assert "entry" not in message


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "inf", "true"])
def test_a_number_is_a_finite_number(value: str) -> None:
    """YAML knows others, and Python takes a truth value for one."""
    config = yaml.safe_dump(tree(source={"type": "table", "name": "t", "units": "?"})).replace("'?'", value)
    with pytest.raises(ConfigurationError, match=r"orders\.source\.units: must be a number"):
        parse_config(config, registry())


@pytest.mark.parametrize("place", ["source.segments", "target.max_concurrency"])
def test_a_truth_value_is_no_whole_number(place: str) -> None:
    config = tree()
    side, field = place.split(".")
    config["pipelines"]["orders"][side][field] = True
    assert f"orders.{place}: must be a whole number" in refused(config)
    assert "limits.lease_s: must be a number" in refused({**tree(), "limits": {"lease_s": True}})


def test_truth_values_and_numbers_may_come_from_the_environment() -> None:
    source = {"type": "table", "name": "t", "units": "${UNITS}", "consistent": "${CONSISTENT}"}
    parsed = parse(tree(source=source), UNITS="2.5", CONSISTENT="true").pipelines["orders"].source
    assert isinstance(parsed, TableConfig)
    assert (parsed.units, parsed.consistent) == (2.5, True)
    assert isinstance(parse(tree(source={**source, "units": 1, "consistent": True})), MigrationConfig)


def test_several_mistakes_are_told_at_once() -> None:
    message = refused({**tree(mode="zero", extra=1), "http": {"listen": "nowhere"}})
    assert "3 fields are wrong" in message
    for where in ("pipelines.orders.mode", "pipelines.orders.extra", "http.listen"):
        assert where in message


def test_a_connector_that_there_is_not_is_told_which_there_are() -> None:
    message = refused(tree(source={"type": SECRET}), buckets=True)
    assert "orders.source.type" in message
    assert "'table', 'bucket'" in message


def test_a_connector_that_is_not_named_is_told_which_there_are() -> None:
    message = refused(tree(source={"name": "t"}), buckets=True)
    assert "orders.source.type" in message
    assert "table" in message


def test_a_field_of_one_of_several_connectors_is_named_as_it_is_written() -> None:
    message = refused(tree(source={"type": "bucket", "bucket": "b", "buckett": 1}), buckets=True)
    assert "pipelines.orders.source.buckett" in message


@pytest.mark.parametrize("name", ["Orders", "-a", "a_b", "", "a" * 64])
def test_names_become_labels_and_are_held_to_it(name: str) -> None:
    config = tree()
    config["pipelines"] = {name: config["pipelines"]["orders"]}
    assert f"pipelines.{name}: is no name: lower-case letters, digits and hyphens" in refused(config)


def test_no_pipeline_is_a_mistake() -> None:
    assert "pipelines: must have at least 1 entry" in refused({"migration": "shop", "pipelines": {}})


def test_a_place_to_listen_at_is_told_its_form() -> None:
    assert "http.listen: must be host:port" in refused({**tree(), "http": {"listen": SECRET}})


def test_each_mistake_can_be_looked_at_by_itself() -> None:
    """For machines, and for `check`."""
    for config, places in (
        ({**tree(mode="zero", extra=1)}, ["pipelines.orders.mode", "pipelines.orders.extra"]),
        (tree(mode="zero"), ["pipelines.orders.mode"]),
    ):
        with pytest.raises(ConfigurationError) as raised:
            parse(config)
        assert [mistake.where for mistake in raised.value.each] == places


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("migration: a\nmigration: b\n", 2, "migration"),
        ("pipelines:\n  orders: {}\n  other: {}\n  orders: {}\n", 4, "orders"),
        ("log: {level: info, format: json, level: debug}", 1, "level"),
    ],
)
def test_a_field_that_is_there_twice_is_refused(text: str, line: int, field: str) -> None:
    """YAML would let the last one win, and a pipeline vanish without a word."""
    with pytest.raises(ConfigurationError, match=f"config:{line}: the field {field} is there twice"):
        parse_config(text, registry())


def test_anchors_and_merges_are_understood() -> None:
    """And overriding what was merged is no repetition."""
    text = """
        migration: shop
        pipelines:
          orders: &orders
            source: {type: table, name: t}
            target: {type: container, key: k}
          others:
            <<: *orders
            source: {type: table, name: other}
    """
    others = parse_config(text, registry()).pipelines["others"]
    assert isinstance(others.source, TableConfig)
    assert others.source.name == "other"


@pytest.mark.parametrize("text", ["", "just text", "- a\n- b", "migration: [unclosed"])
def test_what_is_no_mapping_is_told_where_to_start(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Start from|Mend the syntax"):
        parse_config(text, registry())


def test_a_syntax_error_names_its_line_and_not_its_text() -> None:
    with pytest.raises(ConfigurationError, match="config:3") as raised:
        parse_config(f"migration: shop\nkey: {SECRET}\n  : - [", registry())
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("a: [b\nc: d", "2:2", "expected ',' or ']', but got ':'"),
        ("a: b: c", "1:5", "mapping values are not allowed here"),
        ("a: b\n\tc: d", "2:1", "found character '\\t' that cannot start any token"),
        (f"a: *{SECRET}", "1:4", "found undefined alias"),
        (f"a: !{SECRET} b", "1:4", "could not determine a constructor for the tag"),
        ("a: *x", "1:4", "found undefined alias"),
        ('a: "\\q"', "1:6", "found unknown escape character"),
        (f"a: !b!{SECRET} b", "1:4", "found undefined tag handle"),
        (f"? [{SECRET}]\n: b", "1:3", "found unhashable key"),
        (f"<<: {SECRET}", "1:5", "expected a mapping or list of mappings for merging, but found scalar"),
        ("a: b\n--- c", "2:1", "but found another document"),
        ("a: b\nc: \x00", "2:4", "special characters are not allowed"),
        ("a: 2001-99-99", "1:4", "found a value that is not what it looks like"),
        ("a: !!bool x", "1:4", "found a value that is not what it looks like"),
        ("a: !!timestamp x", "1:4", "found a value that is not what it looks like"),
    ],
)
def test_a_syntax_error_says_what_it_is_and_where(text: str, where: str, problem: str) -> None:
    """With its column, and without what stands there."""
    with pytest.raises(ConfigurationError) as raised:
        parse_config(text, registry())
    assert str(raised.value).startswith(f"config:{where}: is not valid YAML ({problem}). ")
    assert SECRET not in str(raised.value)


def test_environment_variables_are_put_in_with_defaults_and_escapes() -> None:
    source = {"type": "table", "name": "${TABLE}-${SUFFIX:-dev}$${TABLE}", "segments": "${SEGMENTS:-7}"}
    parsed = parse(tree(source=source), TABLE="orders").pipelines["orders"].source
    assert isinstance(parsed, TableConfig)
    assert (parsed.name, parsed.segments) == ("orders-dev${TABLE}", 7)


def test_an_empty_default_is_a_default_and_what_is_put_in_is_not_resolved_again() -> None:
    target = {"type": "container", "key": "${A:-}${B}"}
    parsed = parse(tree(target=target), B="${A}").pipelines["orders"].target
    assert isinstance(parsed, ContainerConfig)
    assert parsed.key == "${A}"


def test_a_missing_environment_variable_is_named_with_its_field() -> None:
    message = refused(tree(target={"type": "container", "key": "${KEY}"}), OTHER=SECRET)
    assert "pipelines.orders.target.key" in message
    assert "KEY is not set" in message


def test_all_environment_variables_that_are_missing_are_named_at_once() -> None:
    message = refused(tree(source={"type": "table", "name": "${NAME}"}, target={"type": "container", "key": "${KEY}"}))
    assert "pipelines.orders.source.name: the environment variable NAME is not set" in message
    assert "pipelines.orders.target.key: the environment variable KEY is not set" in message


@pytest.mark.parametrize(
    "limits",
    [
        {"request_timeout_s": 20, "request_lifetime_s": 15},
        {"request_lifetime_s": 30, "lease_s": 30},
        {"lease_s": -1},
        {"max_batches": 1},
    ],
)
def test_limits_that_contradict_each_other_are_refused(limits: dict[str, float]) -> None:
    assert "limits" in refused({**tree(), "limits": limits})


def test_a_file_is_read_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    path = tmp_path / "replicator.yaml"
    path.write_text(yaml.safe_dump({**tree(), "state": {"path": "deep/state.sqlite"}}))
    assert load_config(path, registry(), {}).state == SqliteStateConfig(path=tmp_path / "deep" / "state.sqlite")
    path.write_text(yaml.safe_dump({**tree(), "state": {"path": "/var/state.sqlite"}}))
    assert load_config(path, registry(), {}).state == SqliteStateConfig(path=Path("/var/state.sqlite"))
    path.write_text(yaml.safe_dump({**tree(), "state": {"type": "box", "label": "x", "ca_bundle": "ca.pem"}}))
    assert load_config(path, registry(), {}).state == BoxConfig(type="box", label="x", ca_bundle=tmp_path / "ca.pem")


@pytest.mark.parametrize("state", [None, {}, {"path": "replicator.sqlite"}, {"type": "sqlite"}])
def test_the_state_is_in_a_file_unless_another_kind_is_named(state: dict[str, str] | None) -> None:
    told = {} if state is None else {"state": state}
    assert parse({**tree(), **told}).state == SqliteStateConfig()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"pth": SECRET}, "state.pth: unknown field. Did you mean path?"),
        ({"type": "sqlite", "label": SECRET}, "state.label: unknown field"),
        ({"type": SECRET}, "state.type: names no kind there is. Use one of 'sqlite', 'box'"),
        ({"type": "box", "labl": SECRET}, "state.labl: unknown field. Did you mean label?"),
        ({"type": "box", "label": "x", "path": SECRET}, "state.path: unknown field"),
        (SECRET, "state: must be a mapping of fields"),
    ],
)
def test_a_mistake_in_the_state_is_told_of_the_kind_that_is_named(state: object, message: str) -> None:
    assert message in refused({**tree(), "state": state})


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.yaml", tmp_path, binary):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_config(path, registry(), {})


def test_every_field_has_a_description_in_the_schema() -> None:
    schema = json_schema(registry(buckets=True))
    ours = {name: part for name, part in schema["$defs"].items() if name not in {"TableConfig", "BucketConfig"}}
    assert len(ours) > 5
    for name, part in ours.items():
        for field, said in part.get("properties", {}).items():
            assert "description" in said, f"{name}.{field} says nothing"
    assert all("description" in said for said in schema["properties"].values())


def test_records_of_one_kind_do_not_go_to_a_target_of_another() -> None:
    with pytest.raises(ConfigurationError, match=r"pipelines.orders: bucket records cannot go to container"):
        registry(buckets=True).pair("orders", "bucket", "container")
    assert registry().pair("orders", "table", "container")[0].config is TableConfig


def test_bundles_of_authorities_are_relative_to_the_config_file_too(tmp_path: Path) -> None:
    """As the state store is, whichever side names one and wherever the daemon is started."""
    config = tree(
        source={"type": "table", "name": "t", "ca_bundle": "certificates/aws.pem"},
        target={"type": "container", "key": "k", "ca_bundle": "/etc/azure.pem"},
    )
    path = tmp_path / "migration.yaml"
    path.write_text(yaml.safe_dump(config))
    orders = load_config(path, registry()).pipelines["orders"]
    assert orders.source.ca_bundle == tmp_path / "certificates/aws.pem"
    assert orders.target.ca_bundle == Path("/etc/azure.pem")


@pytest.mark.parametrize(
    "proxy",
    [
        f"user:{SECRET}@proxy:3128",
        f"http://user:{SECRET}@[::1",
        f"http://user:{SECRET}@x..y:1",
        f"socks5://user:{SECRET}@proxy",
        f"http://user:{SECRET}@proxy:99999",
        "proxy:3128",
        "http://",
        "",
    ],
)
def test_a_proxy_that_is_no_address_is_refused_and_its_password_does_not_show(proxy: str) -> None:
    message = refused(tree(source={"type": "table", "name": "t", "proxy": proxy}))
    assert "pipelines.orders.source.proxy: is no URL like https://host:port" in message


@pytest.mark.parametrize("proxy", ["http://proxy:3128", "https://user:word@proxy.internal", "http://[::1]:3128/"])
def test_a_proxy_is_a_url(proxy: str) -> None:
    orders = parse(tree(source={"type": "table", "name": "t", "proxy": proxy})).pipelines["orders"]
    assert orders.source.proxy == proxy


def test_two_pipelines_may_not_share_a_target() -> None:
    """Each would take the other for a foreign daemon."""
    config = tree()
    for name, target in (("orders", "a"), ("customers", "b"), ("returns", "a")):
        source = {"type": "table", "name": name}
        config["pipelines"][name] = {"source": source, "target": {"type": "container", "key": "k", "name": target}}
    assert "pipelines orders and returns have the same target" in refused(config)
    config["pipelines"]["returns"]["target"]["name"] = "c"
    assert len(parse(config).pipelines) == 3

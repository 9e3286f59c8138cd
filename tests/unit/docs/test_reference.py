"""Promise: commands, fields, metrics and routes are documented completely, and nothing else is."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from prometheus_client import CollectorRegistry, Metric
from unit.docs.pages import PAGES, ROOT, quoted, rows, sections, text

from connectors import registry
from connectors.azure.blob import label
from connectors.azure.blob.containers import INCARNATION
from connectors.azure.blob.metadata import RESERVED
from connectors.azure.servicebus.properties import OURS, PREFIX
from replicator.api.app import interface
from replicator.api.dead_letters import Letter
from replicator.cli.main import app
from replicator.config.loading import json_schema, parse_config
from replicator.cutover import Check, Cutover, DrainEstimate, PipelineCutover
from replicator.cutover.checks import CHECKS
from replicator.cutover.whole import WHOLE_CHECKS
from replicator.engine.daemon import Daemon
from replicator.model import Retried
from replicator.state.sqlite import SqliteStore
from replicator.status import (
    AzureTriggers,
    DrainStatus,
    ForeignStatus,
    PipelineStatus,
    QueueDepth,
    SyncStatus,
    VerificationStatus,
)
from replicator.telemetry import Metrics

# --- commands ---------------------------------------------------------------------------------------------------------


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Typer brings a click of its own, without public types."""
    inner: dict[str, Any] = getattr(command, "commands", {})
    if not inner:
        yield name, command
    for part, within in inner.items():
        yield from _commands(within, f"{name} {part}")


SECRETS = {"COSMOS_KEY": "c2VjcmV0", "REPLICATOR_TOKEN": "sixteen characters"}

COMMANDS = dict(_commands(typer.main.get_command(app), "replicator"))


def test_every_command_has_its_section_and_no_other_is_there() -> None:
    assert set(sections("docs/commands.md")) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_of_a_command_is_documented(name: str) -> None:
    """With its default; and none that does not exist."""
    documented = {q: row[1] for row in rows(_section(name)) if row[0].startswith("`") for q in quoted(row[0])}
    existing = {
        name: parameter
        for parameter in COMMANDS[name].params
        if not getattr(parameter, "hidden", False)
        for name in (parameter.opts if _is_option(parameter) else [(parameter.metavar or parameter.name).upper()])
    }
    assert set(documented) == set(existing)
    for option, parameter in existing.items():
        assert documented[option].strip("`") == _default(parameter), option


@pytest.mark.parametrize("name", COMMANDS)
def test_the_exit_codes_of_a_command_are_documented(name: str) -> None:
    """Exactly those that its help tells."""
    told = set(re.findall(r"[:,]\s(\d)\s", (COMMANDS[name].help or "").partition("Exit codes")[2]))
    documented = {row[0] for row in rows(_section(name)) if row[0].isdigit()}
    assert told == documented


def test_exit_codes_are_told_by_the_help() -> None:
    assert "Exit codes" in (COMMANDS["replicator run"].help or "")


def _section(command: str) -> str:
    return sections("docs/commands.md")[command]


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if _is_option(parameter) and parameter.is_flag:
        return "off"
    return "none" if parameter.default is None else str(parameter.default)


# --- config -----------------------------------------------------------------------------------------------------------

SCHEMA = json_schema(registry())

CONFIGURATION = "docs/configuration.md"
TABLES = "docs/connectors/dynamodb-to-cosmos.md"
BUCKETS = "docs/connectors/s3-to-blob.md"
QUEUES = "docs/connectors/sqs-to-servicebus.md"
TRIGGERS = "docs/triggers.md"

PLACES = {
    (CONFIGURATION, "Top level"): SCHEMA,
    (CONFIGURATION, "State in a file: `type: sqlite`"): SCHEMA["$defs"]["SqliteStateConfig"],
    (CONFIGURATION, "State in blobs: `type: blob`"): SCHEMA["$defs"]["BlobStateConfig"],
    (CONFIGURATION, "`http`"): SCHEMA["$defs"]["HttpConfig"],
    (CONFIGURATION, "`replicas`"): SCHEMA["$defs"]["ReplicasConfig"],
    (CONFIGURATION, "`log`"): SCHEMA["$defs"]["LogConfig"],
    (CONFIGURATION, "`limits`"): SCHEMA["$defs"]["LimitsConfig"],
    (CONFIGURATION, "`cutover`"): SCHEMA["$defs"]["CutoverConfig"],
    (CONFIGURATION, "`cutover.rehearsal`"): SCHEMA["$defs"]["RehearsalConfig"],
    (CONFIGURATION, "`dead_letters`"): SCHEMA["$defs"]["DeadLettersConfig"],
    (CONFIGURATION, "`pipelines.<name>`"): SCHEMA["$defs"]["PipelineConfig"],
    (CONFIGURATION, "`pipelines.<name>.cutover`"): SCHEMA["$defs"]["PipelineCutoverConfig"],
    (CONFIGURATION, "`pipelines.<name>.verification`"): SCHEMA["$defs"]["VerificationConfig"],
    (CONFIGURATION, "`pipelines.<name>.sync`"): SCHEMA["$defs"]["SyncConfig"],
    (CONFIGURATION, "`triggers.<name>`"): SCHEMA["$defs"]["TriggerConfig"],
    (TRIGGERS, "Event source mapping: `type: event_source_mapping`"): SCHEMA["$defs"]["EventSourceMappingConfig"],
    (TRIGGERS, "Rule: `type: rule`"): SCHEMA["$defs"]["RuleConfig"],
    (TRIGGERS, "Schedule: `type: schedule`"): SCHEMA["$defs"]["ScheduleConfig"],
    (TRIGGERS, "Notification: `type: s3_notification`"): SCHEMA["$defs"]["NotificationConfig"],
    (TRIGGERS, "Function: `type: function`"): SCHEMA["$defs"]["FunctionConfig"],
    (TRIGGERS, "Command: `type: command`"): SCHEMA["$defs"]["CommandConfig"],
    (TRIGGERS, "Webhook: `type: webhook`"): SCHEMA["$defs"]["WebhookConfig"],
    (TRIGGERS, "Manual step: `type: manual`"): SCHEMA["$defs"]["ManualConfig"],
    (CONFIGURATION, "`cutover.probe`"): SCHEMA["$defs"]["ProbeConfig"],
    (TABLES, "Source: `type: dynamodb`"): SCHEMA["$defs"]["DynamoDbSourceConfig"],
    (TABLES, "Target: `type: cosmos`"): SCHEMA["$defs"]["CosmosTargetConfig"],
    (BUCKETS, "Source: `type: s3`"): SCHEMA["$defs"]["S3SourceConfig"],
    (BUCKETS, "Target: `type: blob`"): SCHEMA["$defs"]["BlobTargetConfig"],
    (QUEUES, "Source: `type: sqs`"): SCHEMA["$defs"]["SqsSourceConfig"],
    (QUEUES, "Target: `type: servicebus`"): SCHEMA["$defs"]["ServiceBusTargetConfig"],
    (QUEUES, "Target: `claim_check`"): SCHEMA["$defs"]["ClaimCheckConfig"],
}
"""Page and heading of the one place where the fields of a model are told."""

FIELDS = ["field", "unit", "default", "allowed", "meaning"]


def test_fields_are_told_in_these_places_only() -> None:
    """Every table of fields has these heads, and stands below one of these headings."""
    found = {
        (str(page.relative_to(ROOT)), heading)
        for page in PAGES
        for heading, body in sections(str(page.relative_to(ROOT))).items()
        if f"| {' | '.join(FIELDS)} |" in body
    }
    assert found == set(PLACES)


def test_every_model_of_the_config_has_its_section() -> None:
    placed = {model["title"] for model in PLACES.values()}
    assert placed == {SCHEMA["title"], *(model["title"] for model in SCHEMA["$defs"].values())}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[1])
def test_every_field_is_documented_with_its_default_and_its_bounds(place: tuple[str, str]) -> None:
    page, heading = place
    documented = {quoted(row[0])[0]: row for row in rows(sections(page)[heading])}
    model = PLACES[place]
    assert set(documented) == set(model["properties"])
    for name, field in model["properties"].items():
        _, unit, default, allowed, meaning = documented[name]
        assert meaning, name
        assert _is_default(default, field, required=name in model.get("required", ())), f"{name}: {default}"
        assert set(_bounds(field)) <= set(re.findall(r"\d+(?:\.\d+)?", allowed)), f"{name}: {allowed}"
        for value in field.get("enum", ()):
            assert value in allowed.split(", "), name
        assert unit or not name.endswith(("_s", "_bytes", "_units", "throughput")), name


def _is_default(shown: str, field: dict[str, Any], *, required: bool) -> bool:
    if required or shown == "required":
        return required and shown == "required"
    if "$ref" in field or "discriminator" in field or field.get("default") in (None, {}):
        return bool(shown) and not re.fullmatch(r"`[\d.]+`", shown)
    default = field["default"]
    return shown == f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _bounds(field: dict[str, Any]) -> Iterator[str]:
    """Of numbers; those of texts and lists are said in words."""
    names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    for kind in [field, *field.get("anyOf", ())]:
        yield from (f"{kind[name]:.12g}" for name in names if name in kind)


# --- metrics ----------------------------------------------------------------------------------------------------------


def _families(metrics: CollectorRegistry) -> dict[str, Metric]:
    """By the name that is scraped."""
    return {f"{m.name}_total" if m.type == "counter" else m.name: m for m in metrics.collect()}


def test_every_metric_is_documented_with_type_and_labels() -> None:
    metrics = Metrics()
    labels = {c._name: c._labelnames for c in vars(metrics).values() if hasattr(c, "_labelnames")}
    documented = {
        quoted(row[0])[0]: row[1:3]
        for section in ("From the source", "To the target", "Progress", "Cutover")
        for row in rows(sections("docs/metrics.md")[section])
    }
    families = _families(metrics.registry)
    assert set(documented) == {name for name in families if not name.startswith(PROCESS)}
    for name, (kind, further) in documented.items():
        assert kind == families[name].type, name
        own = () if name in OF_THE_WHOLE else ("pipeline",)
        assert [*own, *quoted(further)] == list(labels[families[name].name]), name


PROCESS = "process_"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells this of a process")
def test_every_metric_of_the_process_is_documented() -> None:
    told = {name: m.type for name, m in _families(Metrics().registry).items() if name.startswith(PROCESS)}
    assert told == {quoted(row[0])[0]: row[1] for row in rows(sections("docs/metrics.md")["The process"])}


OF_THE_WHOLE = (
    "replicator_cutover_ready",
    "replicator_cutover_drain_seconds",
    "replicator_migration_phase",
    "replicator_replicas",
)
"""Metrics of the migration, not of a pipeline."""


def test_no_page_names_a_metric_that_does_not_exist() -> None:
    families = _families(Metrics().registry)
    suffixes = [f"{name}{suffix}" for name, m in families.items() if m.type == "histogram" for suffix in _SAMPLES]
    known = {*families, *suffixes, *OURS, PREFIX, *NOTES}
    for page in PAGES:
        named = set(re.findall(r"(?<![\w/.])replicator_[a-z_0-9]*", page.read_text()))
        assert named <= known, page.name


_OURS = [value for value in vars(label).values() if isinstance(value, str) and value.startswith(RESERVED)]

NOTES = {INCARNATION, RESERVED, *_OURS}
"""Names of metadata that look like those of metrics."""


def test_every_entry_of_ours_in_the_metadata_of_blobs_is_documented() -> None:
    named = {q for row in rows(sections(BUCKETS)["What becomes of an object"]) for q in quoted(row[0])}
    assert {name for name in NOTES if name not in named} == {INCARNATION, RESERVED}


_SAMPLES = ("_bucket", "_sum", "_count")


# --- HTTP -------------------------------------------------------------------------------------------------------------


async def test_every_route_has_its_section_and_no_other_is_there() -> None:
    config = parse_config(text("docs/config.example.yaml"), registry(), SECRETS)
    described = interface(Daemon(config, registry(), SqliteStore(Path("unused")), Metrics(), adopt=False)).openapi()
    existing = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert set(sections("docs/http.md")) == {*existing, "GET /openapi.json"}


def test_every_member_of_the_status_is_documented() -> None:
    documented = {q for row in rows(sections("docs/http.md")["GET /v1/status"]) for q in quoted(row[0])}
    parts = (PipelineStatus, QueueDepth, VerificationStatus, ForeignStatus, SyncStatus, DrainStatus, AzureTriggers)
    assert documented == {name for part in parts for name in part.model_fields}


def test_every_member_of_readiness_is_documented() -> None:
    documented = {q for row in rows(sections("docs/http.md")["GET /v1/cutover"]) for q in quoted(row[0])}
    parts = (Cutover, PipelineCutover, DrainEstimate, Check)
    assert documented == {name for part in parts for name in part.model_fields}


def test_every_check_of_readiness_is_documented_and_no_other_is() -> None:
    assert [quoted(row[0])[0] for row in rows(sections("docs/readiness.md")["What is checked"])] == list(CHECKS)
    assert [quoted(row[0])[0] for row in rows(sections("docs/readiness.md")["What is checked once"])] == list(
        WHOLE_CHECKS
    )


def test_every_member_of_a_dead_letter_is_shown() -> None:
    example = sections("docs/http.md")["GET /v1/dead-letters"]
    assert [name for name in Letter.model_fields if f'"{name}":' not in example] == []


def test_every_member_of_a_retrys_answer_is_documented() -> None:
    documented = {q for row in rows(sections("docs/http.md")["POST /v1/dead-letters/retry"]) for q in quoted(row[0])}
    assert documented == set(Retried.__dataclass_fields__)


def test_the_commands_page_says_where_the_daemon_is_looked_for() -> None:
    assert "REPLICATOR_URL" in text("docs/commands.md")

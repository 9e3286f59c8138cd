"""Promise: the pages name what there is, lead where something is, and their examples are valid."""

import ast
import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from botocore import xform_name
from botocore.session import get_session
from unit.docs.pages import PAGES, ROOT, anchors, blocks, links, quoted, rows, sections, sources, text

from connectors import registry
from connectors.aws.s3.check_queue import permits_senders
from connectors.aws.s3.coverage import missing_kinds
from replicator.config.loading import json_schema, parse_config
from replicator.config.models import LimitsConfig
from replicator.engine.lease import RENEWALS
from replicator.replicas.member import LOOK_AGAIN_S

ENVIRONMENT = {"COSMOS_KEY": "c2VjcmV0", "REPLICATOR_TOKEN": "sixteen characters"}

TARGETS = set(re.findall(r"^([a-z-]+):", text("Makefile"), flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file or folder, and to a heading where one is named."""
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert set(PAGES) - {ROOT / "README.md"} <= linked


def test_the_readmes_two_commands_exist() -> None:
    readme = text("README.md")
    assert {"demo", "test"} <= set(re.findall(r"^    make ([a-z]+)", readme, flags=re.MULTILINE)) <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"(?:`|^    )make (?:[A-Z]+=\S+ )?([a-z-]+)", page.read_text(), flags=re.MULTILINE)
    assert set(named) <= TARGETS


def test_what_tools_leave_in_the_folder_is_cleaned_up(tmp_path: Path) -> None:
    """Everything that is ignored, but for what lies anywhere or may be somebody's data."""
    ignored = {pattern.rstrip("/") for pattern in text(".gitignore").split()}
    left = {"__pycache__", "node_modules", "uv.lock", "*.sqlite", "*.sqlite-*"}
    assert left < ignored
    (tmp_path / "Makefile").write_text(text("Makefile"))
    for pattern in ignored - left:
        (tmp_path / pattern.replace("*", "replicator")).mkdir()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607 — as people do
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


def test_the_list_of_folders_is_complete_and_exists() -> None:
    """Every package of the code has its line."""
    named = [name for row in rows(sections("ARCHITECTURE.md")["Where things live"]) for name in quoted(row[0])]
    assert [name for name in named if not (ROOT / name).is_dir()] == []
    assert len(named) == len(set(named))
    packages = {p.parent for top in ("replicator", "connectors", "sandbox") for p in (ROOT / top).rglob("*.py")}
    unnamed = {f"{p.relative_to(ROOT)}/" for p in packages} - set(named)
    assert unnamed <= {"connectors/", "sandbox/cosmos/query/"}


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/development.md"])
def test_every_path_that_is_named_exists(page: str) -> None:
    paths = [
        q for q in quoted(text(page)) if re.fullmatch(r"\.?(replicator|connectors|sandbox|tests|docs|ci)/[\w./]*", q)
    ]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_page_that_messages_point_to_exists() -> None:
    named = set(re.findall(r"docs/[\w./-]+\w", sources("replicator", "connectors", "sandbox")))
    assert "docs/permissions.md" in named
    assert [page for page in sorted(named) if not (ROOT / page).is_file()] == []


EXAMPLE = "docs/config.example.yaml"

OPERATIONS = "docs/operations.md"

DAY_S = 24 * 3600


def test_the_example_config_is_valid_and_shows_every_field() -> None:
    """Those of a source or target where one of that kind stands."""
    shown = parse_config(text(EXAMPLE), registry(), ENVIRONMENT)
    head, *pipelines = re.split(r"^  (?=[a-z])", text(EXAMPLE).partition("\npipelines:\n")[2], flags=re.MULTILINE)
    assert not head.strip()
    assert {p.source.type for p in shown.pipelines.values()} == set(registry().sources)
    assert {p.target.type for p in shown.pipelines.values()} == set(registry().targets)
    for block, pipeline in zip(pipelines, shown.pipelines.values(), strict=True):
        own, _, sides = block.partition("    source:\n")
        source, _, target = sides.partition("    target:\n")
        for part, indent, model in (
            (own + "    source:\n    target:\n", 4, type(pipeline)),
            (source, 6, type(pipeline.source)),
            (target, 6, type(pipeline.target)),
        ):
            named = re.findall(rf"^ {{{indent}}}(?:# )?(\w+):", part, flags=re.MULTILINE)
            assert set(named) == set(model.model_fields)
    schema = json_schema(registry())
    fields = {name for model in [schema, *schema["$defs"].values()] for name in model["properties"]}
    assert {name for name in fields if not re.search(rf"^ *(# )?{name}:", text(EXAMPLE), flags=re.MULTILINE)} == set()


def test_what_the_example_config_does_not_call_an_example_is_the_default() -> None:
    shown, tree = parse_config(text(EXAMPLE), registry(), ENVIRONMENT), yaml.safe_load(text(EXAMPLE))
    needed = {name for line in text(EXAMPLE).splitlines() if "example" in line for name in re.findall(r"(\w+):", line)}
    models = [(getattr(shown, name), tree[name]) for name in ("state", "http", "log", "limits", "cutover")]
    for name, pipeline in shown.pipelines.items():
        of = tree["pipelines"][name]
        models += [(pipeline, of), (pipeline.source, of["source"]), (pipeline.target, of["target"])]
    compared = 0
    for model, fields in models:
        for name, field in type(model).model_fields.items():
            if name in fields and name not in needed and not field.is_required():
                assert getattr(model, name) == field.get_default(call_default_factory=True), name
                compared += 1
    assert compared > 50


def test_the_schema_is_what_the_command_prints() -> None:
    assert text("docs/config.schema.json") == json.dumps(json_schema(registry()), indent=2) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_config_that_is_shown_is_valid(page: Path) -> None:
    for block in blocks(str(page.relative_to(ROOT)), "yaml"):
        if "migration" in yaml.safe_load(block):
            parse_config(block, registry(), ENVIRONMENT)


def test_every_pipeline_that_is_shown_is_valid() -> None:
    """Each page of a pair shows one."""
    for page in (ROOT / "docs/connectors").glob("*-to-*.md"):
        (shown,) = (yaml.safe_load(block) for block in blocks(str(page.relative_to(ROOT)), "yaml"))
        parse_config(yaml.safe_dump({"migration": "shop", "pipelines": {"shown": shown}}), registry(), ENVIRONMENT)


def test_the_readme_shows_a_config() -> None:
    assert any("migration" in yaml.safe_load(block) for block in blocks("README.md", "yaml"))


@pytest.mark.parametrize(
    ("page", "connector"),
    [
        ("docs/connectors/dynamodb-to-cosmos.md", "connectors/aws/dynamodb"),
        ("docs/connectors/sqs-to-servicebus.md", "connectors/aws/sqs"),
    ],
)
def test_the_policy_permits_exactly_what_is_called(page: str, connector: str) -> None:
    """A batch needs the permission of the single operation, `batch_get_item` one of its own. Keys are used by the
    service.
    """
    policy = json.loads(blocks(page, "json")[0])
    actions = [
        a for s in policy["Statement"] for a in (s["Action"] if isinstance(s["Action"], list) else [s["Action"]])
    ]
    permitted = {
        re.sub(r"(?<!^)([A-Z])", r"_\1", action.partition(":")[2]).lower()
        for action in actions
        if not action.startswith("kms:")
    }
    called = {name.removesuffix("_batch") for name in _operations(sources(connector))}
    assert permitted - UNCALLED == called
    assert called & {"scan", "receive_message"}


UNCALLED = {"list_bucket"}
"""Permitted so that S3 calls an object missing that is, instead of refusing."""


def _operations(code: str) -> set[str]:
    """The methods of clients that are given to the functions through which they are called."""
    callers = {"call", "probe", "once", "paid", "paid_probe", "each", "_permission", "last_day"}
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    named = [c for c in calls if getattr(c.func, "attr", getattr(c.func, "id", "")) in callers]
    return {
        arg.attr
        for call in named
        for arg in call.args
        if isinstance(arg, ast.Attribute) and "client" in ast.unparse(arg.value)
    }


S3_ACTIONS = {
    "list_objects_v2": "s3:ListBucket",
    "head_bucket": "s3:ListBucket",
    "head_object": "s3:GetObject",
    "get_object": "s3:GetObject",
    "get_object_tagging": "s3:GetObjectTagging",
    "get_bucket_notification_configuration": "s3:GetBucketNotification",
    "get_bucket_versioning": "s3:GetBucketVersioning",
    "get_object_lock_configuration": "s3:GetBucketObjectLockConfiguration",
    "get_bucket_replication": "s3:GetReplicationConfiguration",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "get_queue_attributes": "sqs:GetQueueAttributes",
}
"""S3 names permissions in its own way."""


def test_the_policy_of_a_bucket_permits_exactly_what_is_called() -> None:
    """Of the queue's connector it uses the receiving, and asks who else is triggered."""
    model = get_session().get_service_model
    operations = {xform_name(name) for service in ("s3", "sqs") for name in model(service).operation_names}
    nodes = [n for n in ast.walk(ast.parse(sources("connectors/aws/s3"))) if isinstance(n, ast.Attribute)]
    named = {n.attr for n in nodes if "client" in ast.unparse(n.value)}
    assert named & operations == set(S3_ACTIONS)
    receiving = ["ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueUrl"]
    permitted = {
        action
        for statement in json.loads(blocks("docs/connectors/s3-to-blob.md", "json")[0])["Statement"]
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    }
    called = {*S3_ACTIONS.values(), *(f"sqs:{name}" for name in receiving)}
    called |= {"lambda:ListEventSourceMappings", "cloudwatch:GetMetricStatistics"}
    assert permitted == called


TRIGGER_ACTIONS = {
    "lambda": {"list_event_source_mappings", "get_event_source_mapping", "update_event_source_mapping"},
    "events": {"describe_rule", "enable_rule", "disable_rule", "put_rule"},
    "scheduler": {"get_schedule", "update_schedule"},
    "s3": {"get_bucket_notification_configuration", "put_bucket_notification_configuration"},
}
"""By service; the names of S3's permissions leave `Configuration` out."""


def test_the_policy_of_triggers_permits_exactly_what_is_called() -> None:
    """A schedule's role is passed on with its definition."""
    nodes = [n for n in ast.walk(ast.parse(sources("connectors/aws/triggers"))) if isinstance(n, ast.Attribute)]
    called = {n.attr for n in nodes if ast.unparse(n.value) == "self._client"}
    assert called == set.union(*TRIGGER_ACTIONS.values())
    policies = [json.loads(block) for block in blocks("docs/triggers.md", "json")]
    (policy,) = (block for block in policies if "Statement" in block)
    permitted = {
        action
        for statement in policy["Statement"]
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    }
    wanted = {
        f"{service}:{name.title().replace('_', '').removesuffix('Configuration')}"
        for service, operations in TRIGGER_ACTIONS.items()
        for name in operations
    }
    assert permitted == wanted | {"iam:PassRole"}


def test_the_notifications_that_are_shown_lack_nothing() -> None:
    shown = [json.loads(block) for block in blocks("docs/connectors/s3-to-blob.md", "json")]
    (arn,) = {entry["QueueArn"] for block in shown for entry in block.get("QueueConfigurations", ())}
    (configuration,) = (block for block in shown if "QueueConfigurations" in block)
    assert missing_kinds(configuration, arn, "") == []
    (queue,) = (block for block in shown if "Policy" in block)
    assert permits_senders(queue["Policy"], "media")


def test_every_block_of_json_is_valid() -> None:
    for page in PAGES:
        for block in blocks(str(page.relative_to(ROOT)), "json"):
            json.loads(block)


EXPLAINED = [
    ("docs/recovery.md", "What each message means"),
    *(
        (f"docs/connectors/{pair}.md", section)
        for pair, section in (
            ("dynamodb-to-cosmos", "Messages"),
            ("s3-to-blob", "Messages"),
            ("s3-to-blob", "Dead letters"),
            ("sqs-to-servicebus", "Messages"),
            ("sqs-to-servicebus", "Dead letters"),
        )
    ),
]


@cache
def texts() -> str:
    """All that are in the code, docstrings left out."""
    nodes = list(ast.walk(ast.parse(sources("replicator", "connectors"))))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    literals = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return "\n".join(node.value for node in literals if isinstance(node.value, str))


@pytest.mark.parametrize(("page", "section"), EXPLAINED)
def test_every_message_that_is_explained_exists(page: str, section: str) -> None:
    """Each is part of a text in the code."""
    explained = [quoted(row[0]) for row in rows(sections(page)[section])]
    assert len(explained) > 8
    assert [q for quotes in explained for q in quotes if q.strip() not in texts()] == []
    assert all(explained)


def test_what_is_seen_of_each_failure_mode_exists() -> None:
    """Messages, errors and metrics; a command is a command."""
    modes = rows(sections(OPERATIONS)["Failure modes"])
    assert len(modes) > 30
    assert all(all(row) and len(row) == 4 for row in modes)
    seen = {q for row in modes for q in quoted(row[1])}
    code = sources("replicator", "connectors")
    messages = {q for q in seen if " " in q and not q.startswith("replicator ")}
    assert len(messages) > 20
    assert {q for q in messages if q not in texts()} == set()
    assert {q for q in seen if q.endswith("Error") and f"class {q}(" not in code} == set()
    assert {
        q for q in seen if q.startswith("replicator_") and f'"{q}"' not in texts() and f'"{q}"' not in code
    } == set()


def test_what_is_asked_at_rest_is_what_the_defaults_come_to() -> None:
    """In a day."""
    costs = {f"{row[0]}: {row[1]}": row[2] for row in rows(sections(OPERATIONS)["Costs"])[:7]}

    def asked(what: str) -> int:
        (amount,) = (amount for told, amount in costs.items() if what in told)
        return int(re.findall(r"[\d,]+", amount)[0].replace(",", ""))

    table, queue = (registry().sources[kind].config.model_fields for kind in ("dynamodb", "sqs"))
    assert asked("`GetRecords`") == DAY_S / table["poll_interval_s"].default
    assert asked("`receivers`") == DAY_S * queue["receivers"].default / queue["wait_s"].default
    assert (
        asked("`relist_interval_s`")
        == 2 * DAY_S / registry().sources["s3"].config.model_fields["relist_interval_s"].default
    )
    assert asked("`marker_interval_s`") == DAY_S / LimitsConfig().marker_interval_s
    assert asked("for the lease") == DAY_S * RENEWALS / LimitsConfig().lease_s
    assert asked("waits") == 2 * DAY_S / LOOK_AGAIN_S

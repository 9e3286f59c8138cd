"""Promise: what `init` writes into policies is what the pages show, and what it asks for itself is shown too."""

import json
import os
import re
import subprocess
from typing import Any

import pytest
from unit.docs.pages import blocks, sections, sources, text

from connectors import DRAFTED
from connectors.aws import permissions as at_aws
from connectors.aws.discovery.asking import READS
from connectors.aws.permissions import Needed, policy
from connectors.azure import roles as at_azure
from connectors.azure.roles import Targets, role_script

TABLES = "docs/connectors/dynamodb-to-cosmos.md"
BUCKETS = "docs/connectors/s3-to-blob.md"
QUEUES = "docs/connectors/sqs-to-servicebus.md"
TRIGGERS = "docs/triggers.md"


def shown(page: str) -> dict[str, tuple[str, ...]]:
    """The actions of the first policy of a page, by the names of its statements, or by their first action."""
    statements = next(b for block in blocks(page, "json") if "Statement" in (b := json.loads(block)))["Statement"]
    return {statement.get("Sid", actions(statement)[0]): actions(statement) for statement in statements}


def actions(statement: dict[str, Any]) -> tuple[str, ...]:
    return tuple(statement["Action"]) if isinstance(statement["Action"], list) else (statement["Action"],)


@pytest.mark.parametrize(
    ("page", "statement", "listed"),
    [
        (TABLES, "ReadTable", at_aws.READ_TABLE),
        (TABLES, "ReadStream", at_aws.READ_STREAM),
        (BUCKETS, "ListBucket", at_aws.LIST_BUCKET),
        (BUCKETS, "ReadObjects", at_aws.READ_OBJECTS),
        (BUCKETS, "TakeNotifications", (*at_aws.WATCH_QUEUE, *at_aws.TAKE_MESSAGES)),
        (BUCKETS, "CheckOptional", at_aws.CHECK_BUCKET),
        (QUEUES, "WatchQueue", at_aws.WATCH_QUEUE),
        (QUEUES, "TakeMessages", at_aws.TAKE_MESSAGES),
        (TRIGGERS, at_aws.SWITCH_MAPPING[0], at_aws.SWITCH_MAPPING),
        (TRIGGERS, at_aws.SWITCH_RULE[0], at_aws.SWITCH_RULE),
        (TRIGGERS, at_aws.SWITCH_SCHEDULE[0], at_aws.SWITCH_SCHEDULE),
        (TRIGGERS, at_aws.SWITCH_NOTIFICATION[0], at_aws.SWITCH_NOTIFICATION),
        (TRIGGERS, at_aws.PASS_ROLE, (at_aws.PASS_ROLE,)),
        ("docs/init.md", "ReadWhatFunctionsUse", tuple(sorted(READS))),
    ],
)
def test_a_list_of_actions_is_that_of_its_page(page: str, statement: str, listed: tuple[str, ...]) -> None:
    assert shown(page)[statement] == listed


def test_a_policy_permits_all_that_the_pages_do_but_for_payloads() -> None:
    """And nothing else; without resources there is no statement."""
    switched = {kind: ["arn"] for kind in at_aws.SWITCHES}
    written = policy(Needed(["t"], ["b"], ["q"], ["k"], switched, ["r"]))["Statement"]
    permitted = {action for statement in written for action in actions(statement)}
    pages = {action for page in (TABLES, BUCKETS, QUEUES, TRIGGERS) for a in shown(page).values() for action in a}
    assert permitted == pages
    assert len(policy(Needed())["Statement"]) == 1
    assert [s["Sid"] for s in written if s["Resource"] == ["*"]] == ["KnowConsumersAndRates"]
    (passed,) = [s for s in written if s["Action"] == [at_aws.PASS_ROLE]]
    assert passed["Condition"], "a role is passed to the scheduler alone"


def test_only_reads_are_asked_for_and_each_is_in_use() -> None:
    """By what the code gives along with each call."""
    code = sources("connectors/aws/discovery")
    asked = re.findall(r'(?:ask|sure|pages)\(\s*"([a-z0-9]+:\w+)"', code)
    asked += re.findall(r'permission, about, operation = "([a-z0-9]+:\w+)"', code)
    assert set(asked) == READS
    assert all(re.fullmatch(r"[a-z0-9]+:(Get|List|Describe)\w+", action) for action in READS)


def test_the_roles_are_those_of_the_pages() -> None:
    assert at_azure.COSMOS_CONTRIBUTOR in sections(TABLES)["Permissions at Azure"]
    assert at_azure.BLOB_OWNER in sections(BUCKETS)["Permissions at Azure"]
    for role in (at_azure.BUS_SENDER, at_azure.BUS_OWNER):
        assert role in sections(QUEUES)["Permissions at Azure"].replace("\n", " ")
    assert at_azure.BLOB_CONTRIBUTOR in sections("docs/state.md")["In blobs"].replace("\n", " ")
    (role_shown,) = (json.loads(b) for b in blocks(TRIGGERS, "json") if "AssignableScopes" in b)
    assert tuple(role_shown["Actions"]) == at_azure.SWITCH_ACTIONS
    assert role_shown["Name"] == at_azure.SWITCHER


BLANKS = ("SUBSCRIPTION", "RESOURCE_GROUP", "PRINCIPAL", "COSMOS_ACCOUNT", "COSMOS_DATABASE", "STORAGE_ACCOUNT",
          "SERVICEBUS", "FUNCTION_APP_ID")  # fmt: skip


def assigned(script: str, **further: str) -> int:
    """How many roles the script assigns, its blanks being set."""
    environment = {**dict.fromkeys(BLANKS, "x"), **further, "PATH": os.environ["PATH"]}
    stub = 'az() { echo "$*" | head -1; }\n'
    command = ["/bin/sh", "-c", stub + script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 — ours
    return done.stdout.count("role assignment create")


def test_a_script_has_what_is_used_and_leaves_no_blank_unasked() -> None:
    whole = role_script(Targets(["orders"], ["media", "replicator"], ["mail"], functions=True, state=True))
    used = set(re.findall(r"\$([A-Z_]+)", whole))
    assert used <= set(re.findall(r"\$\{([A-Z_]+):\?", whole))
    definition = re.search(r"<<DEFINITION\n(.*?)\nDEFINITION", whole, re.DOTALL)
    assert definition
    assert json.loads(definition[1])["Actions"] == list(at_azure.SWITCH_ACTIONS)
    assert assigned(whole) == 5
    assert assigned(whole, STATE_CONTAINER="state", STATE_ACCOUNT="shopstate") == 6
    nothing = role_script(Targets())
    assert "az " not in nothing


def test_the_files_that_are_written_are_documented() -> None:
    assert [name for name in DRAFTED if f"`{name}`" not in text("docs/init.md")] == []

"""Promise: Terraform gives exactly the permissions that the connectors say they need, from one place."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from connectors.aws import permissions
from connectors.aws.permissions import SWITCHES, Needed, policy

TERRAFORM = Path(__file__).parents[3] / "deploy" / "terraform"

EVERYTHING = policy(
    Needed(
        tables=["table"],
        buckets=["bucket"],
        taken=["queue"],
        keys=["key"],
        switched={kind: [kind] for kind in SWITCHES},
        roles=["role"],
    )
)["Statement"]
"""A statement of every kind there is."""


def code(name: str) -> str:
    return (TERRAFORM / name).read_text("utf-8")


def test_the_actions_are_those_of_the_connectors() -> None:
    actions: dict[str, Any] = {statement["Sid"]: statement["Action"] for statement in EVERYTHING}
    assert json.loads(code("actions.json")) == actions


def test_every_statement_has_its_resources() -> None:
    (block,) = re.findall(r"^  resources = \{\n(.*?)^  \}", code("main.tf"), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^    (\w+) +=", block, flags=re.MULTILINE) == [s["Sid"] for s in EVERYTHING]


def test_nothing_is_permitted_beside_them() -> None:
    """But to take the role, and to S3 to send to the queues that are made for it."""
    written = "".join(path.read_text("utf-8") for path in sorted(TERRAFORM.glob("*.tf")))
    literal = set(re.findall(r'"((?:dynamodb|s3|sqs|lambda|cloudwatch|kms|events|scheduler|iam|sts):\w+)"', written))
    event = "s3:LifecycleTransition"
    assert literal - {event} == {"iam:PassedToService", "sqs:SendMessage", "sts:AssumeRoleWithWebIdentity"}


def test_only_schedules_get_a_role_passed() -> None:
    conditions = {s["Sid"]: s["Condition"] for s in EVERYTHING if "Condition" in s}
    assert conditions == {"PassRolesOfSchedules": permissions.SCHEDULER}
    assert 'sid == "PassRolesOfSchedules" ? { Condition = { StringEquals = ' in code("main.tf")


def test_the_files_are_formatted() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not there: that deploy/terraform is formatted was not looked at")
    command = ["terraform", "fmt", "-check", "-diff", "-no-color", str(TERRAFORM)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- constant arguments
    assert done.returncode == 0, done.stdout + done.stderr

"""Promise: what a policy names becomes a resource with its reason, and what it leaves open is told."""

from typing import Any

import pytest

from connectors.aws.discovery.model import Catalogue, Kind, Resource, Topic
from connectors.aws.discovery.statements import Read, read_policy

THERE = Catalogue("aws", "eu-central-1", "111122223333", frozenset({"orders", "orders-old"}), {"media": ""})

TABLE = "arn:aws:dynamodb:eu-central-1:111122223333:table"


def read(actions: Any, resource: Any, **more: Any) -> Read:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource, **more}
    return read_policy({"Statement": [statement]}, "policy p", THERE)


@pytest.mark.parametrize(
    ("actions", "arn", "resource"),
    [
        ("dynamodb:PutItem", f"{TABLE}/orders", Resource(Kind.TABLE, "orders")),
        (["dynamodb:Query"], [f"{TABLE}/orders/index/*"], Resource(Kind.TABLE, "orders")),
        ("dynamodb:GetRecords", f"{TABLE}/orders/stream/*", Resource(Kind.TABLE, "orders")),
        ("s3:GetObject", "arn:aws:s3:::media/*", Resource(Kind.BUCKET, "media")),
    ],
)
def test_what_is_named_is_found(actions: Any, arn: Any, resource: Resource) -> None:
    found = read(actions, arn)
    action = actions if isinstance(actions, str) else actions[0]
    assert found.resources == ((resource, f"policy p allows {action}"),)
    assert found.not_covered == ()


def test_queues_that_could_not_be_listed_are_taken_by_their_word() -> None:
    found = read("sqs:SendMessage", "arn:aws:sqs:eu-central-1:111122223333:mail")
    assert [resource.name for resource, _ in found.resources] == ["mail"]


@pytest.mark.parametrize(
    ("actions", "arn", "topic", "text"),
    [
        ("dynamodb:*", "*", Topic.UNRESOLVED, "policy p allows dynamodb:* on *"),
        ("dynamodb:PutItem", f"{TABLE}/orders*", Topic.UNRESOLVED, "tables that match: orders, orders-old"),
        ("dynamodb:PutItem", f"{TABLE}/gone", Topic.UNRESOLVED, "there is no such table"),
        ("dynamodb:PutItem", f"{TABLE}/x".replace("1111", "9999"), Topic.UNRESOLVED, "in another account"),
        ("s3:GetObject", "arn:aws:s3:::${aws:username}-x/*", Topic.UNRESOLVED, "no bucket of the account"),
        ("*", "*", Topic.UNRESOLVED, "every action of every service"),
        ("kinesis:PutRecord", "*", Topic.SERVICES, "kinesis: policy p allows kinesis:PutRecord"),
        ("ec2:RunInstances", "*", Topic.SERVICES, "ec2"),
    ],
)
def test_what_is_not_resolved_or_not_carried_is_told(actions: str, arn: str, topic: Topic, text: str) -> None:
    found = read(actions, arn)
    assert found.resources == ()
    (line,) = found.not_covered
    assert line.topic is topic
    assert text in line.text


def test_logs_the_network_and_what_is_denied_are_no_news() -> None:
    assert read(["logs:PutLogEvents", "xray:PutTraceSegments"], "*") == Read()
    assert read(["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"], "*") == Read()
    assert read("kinesis:PutRecord", "*", Effect="Deny") == Read()


def test_a_statement_of_exceptions_is_told_as_one() -> None:
    statement = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    (line,) = read_policy({"Statement": statement}, "policy p", THERE).not_covered
    assert "NotAction" in line.text

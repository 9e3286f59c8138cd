"""Promise: what runs a function is found by its aliases and on every bus too, and what is not carried is told."""

import json
from typing import Any

import pytest

from connectors.aws.discovery.functions import (
    Function,
    Gathered,
    find_function,
    read_mappings,
    read_other_ways,
    read_rules,
    read_settings,
)
from connectors.aws.discovery.model import Catalogue, Kind, Resource, Topic
from connectors.aws.discovery.resources import describe_bucket, describe_queues, describe_table
from connectors.aws.discovery.roles import read_role
from fakes.functions import services
from fakes.virtual import in_virtual_time
from replicator.errors import ConfigurationError

ARN = "arn:aws:lambda:eu-central-1:111122223333:function:f"
LIVE = f"{ARN}:live"
QUEUE = "arn:aws:sqs:eu-central-1:111122223333"

THERE = Catalogue("aws", "eu-central-1", "111122223333", frozenset({"t"}), {"media": "eu-central-1"}, frozenset({"q"}))

FUNCTION = Function("f", (ARN, LIVE), "arn:aws:iam::111122223333:role/path/r", {}, {})


def left(gathered: Gathered, topic: Topic) -> list[str]:
    return [line.text for line in gathered.not_covered if line.topic is topic]


@in_virtual_time
async def test_a_function_is_known_by_its_own_arn_and_those_of_its_aliases() -> None:
    configured = {"FunctionName": "f", "FunctionArn": LIVE, "Role": "r"}
    answers = {"get_function_configuration": configured, "list_aliases": {"Aliases": [{"AliasArn": LIVE}]}}
    assert (await find_function(services(answers), "f:live")).arns == (ARN, LIVE)


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
@in_virtual_time
async def test_one_that_cannot_be_looked_at_is_named_with_what_to_do(code: str) -> None:
    with pytest.raises(ConfigurationError, match="--function nope"):
        await find_function(services({"get_function_configuration": code}), "nope")


@in_virtual_time
async def test_mappings_are_found_once_each_whoever_they_are_of() -> None:
    def mappings(FunctionName: str, **_: Any) -> Any:  # noqa: N803 — as the service has it
        own = {"UUID": "1", "EventSourceArn": f"{QUEUE}:q", "State": "Enabled"}
        other = {
            "UUID": "2",
            "EventSourceArn": "arn:aws:kinesis:eu-central-1:111122223333:stream/s",
            "DestinationConfig": {"OnFailure": {"Destination": f"{QUEUE}:failed"}},
        }
        return {"EventSourceMappings": [own] if FunctionName == ARN else [own, other]}

    gathered = Gathered()
    await read_mappings(services({"list_event_source_mappings": mappings}), FUNCTION, THERE, gathered)
    assert [entry.fields["uuid"] for entry in gathered.entries] == ["1", "2"]
    assert [entry.resource for entry in gathered.entries] == [Resource(Kind.QUEUE, "q"), None]
    assert list(gathered.reasons) == [Resource(Kind.QUEUE, "q")]
    assert "reads from kinesis" in left(gathered, Topic.ENTRIES)[0]
    assert "q:failed" not in str(gathered.reasons)
    assert f"{QUEUE}:failed" in left(gathered, Topic.FUNCTIONS)[0]


@in_virtual_time
async def test_rules_of_every_bus_are_found_and_the_bucket_behind_one() -> None:
    def names(TargetArn: str, EventBusName: str, **_: Any) -> Any:  # noqa: N803 — as the service has it
        found = {(ARN, "default"): ["uploads"], (LIVE, "shop"): ["orders"]}
        return {"RuleNames": found.get((TargetArn, EventBusName), [])}

    def rule(Name: str, **_: Any) -> Any:  # noqa: N803 — as the service has it
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["media", "elsewhere", {"prefix": "x"}]}}}
        return {
            "State": "ENABLED",
            "Arn": f"arn:{Name}",
            "EventPattern": json.dumps(pattern if Name == "uploads" else {}),
        }

    events = {
        "list_event_buses": {"EventBuses": [{"Name": "default"}, {"Name": "shop"}]},
        "list_rule_names_by_target": names,
        "describe_rule": rule,
    }
    gathered = Gathered()
    await read_rules(services(events=events), FUNCTION, THERE, gathered)
    assert [dict(entry.fields) for entry in gathered.entries] == [
        {"type": "rule", "name": "uploads"},
        {"type": "rule", "name": "orders", "bus": "shop"},
    ]
    assert [entry.resource for entry in gathered.entries] == [Resource(Kind.BUCKET, "media"), None]


@in_virtual_time
async def test_other_ways_in_and_out_are_told() -> None:
    statements = [
        {"Principal": {"Service": "apigateway.amazonaws.com"}},
        {"Principal": {"Service": "s3.amazonaws.com"}},
        {"Principal": "*"},
    ]
    answers = {
        "get_policy": {"Policy": json.dumps({"Statement": statements})},
        "list_function_url_configs": {"FunctionUrlConfigs": [{"FunctionUrl": "https://x"}]},
        "list_function_event_invoke_configs": {
            "FunctionEventInvokeConfigs": [
                {"DestinationConfig": {"OnFailure": {"Destination": "arn:x"}, "OnSuccess": {}}}
            ]
        },
    }
    gathered = Gathered()
    await read_other_ways(services(answers), FUNCTION, gathered)
    assert [text.partition(":")[0] for text in left(gathered, Topic.ENTRIES)] == [
        "* may invoke f", "apigateway.amazonaws.com may invoke f", "f has a function URL"
    ]  # fmt: skip
    assert left(gathered, Topic.FUNCTIONS) == ["f: destination OnFailure is arn:x"]
    await read_other_ways(services({"get_policy": "ResourceNotFoundException"}), FUNCTION, Gathered())


def test_settings_that_are_to_be_made_anew_are_told() -> None:
    settings = {
        "Layers": [{"Arn": "arn:layer"}],
        "VpcConfig": {"SubnetIds": ["s1"]},
        "DeadLetterConfig": {"TargetArn": "arn:dead"},
        "FileSystemConfigs": [{"Arn": "arn:fs"}],
        "KMSKeyArn": "arn:key",
        "PackageType": "Image",
    }
    gathered = Gathered()
    read_settings(Function("f", (ARN,), "r", {}, settings), gathered)
    told = " ".join(left(gathered, Topic.FUNCTIONS))
    for part in ("arn:layer", "s1", "arn:dead", "arn:fs", "a key of your own", "container image"):
        assert part in told
    read_settings(Function("f", (ARN,), "r", {}, {}), empty := Gathered())
    assert empty.not_covered == []


@in_virtual_time
async def test_of_an_attached_policy_the_default_version_counts() -> None:
    def version(VersionId: str, **_: Any) -> Any:  # noqa: N803 — as the service has it
        assert VersionId == "v3"
        return {
            "PolicyVersion": {"Document": {"Statement": {"Effect": "Allow", "Action": "kms:Sign", "Resource": "*"}}}
        }

    iam = {
        "list_attached_role_policies": {"AttachedPolicies": [{"PolicyName": "p", "PolicyArn": "arn:p"}]},
        "get_policy": {"Policy": {"DefaultVersionId": "v3"}},
        "get_policy_version": version,
    }
    gathered = Gathered()
    await read_role(services(iam=iam), FUNCTION, THERE, gathered)
    assert left(gathered, Topic.SERVICES) == ["kms: policy p attached to role r allows kms:Sign"]


@in_virtual_time
async def test_dead_letter_queues_are_found_in_a_row_and_once() -> None:
    behind = {"q": "q-dead", "q-dead": "q"}

    def attributes(QueueUrl: str, **_: Any) -> Any:  # noqa: N803 — as the service has it
        return {"Attributes": {"RedrivePolicy": json.dumps({"deadLetterTargetArn": f"{QUEUE}:{behind[QueueUrl]}"})}}

    sqs = {"get_queue_url": lambda **asked: {"QueueUrl": asked["QueueName"]}, "get_queue_attributes": attributes}
    found = await describe_queues(services(sqs=sqs), {Resource(Kind.QUEUE, "q"): ["because"]}, THERE, Gathered())
    assert [queue.name for queue in found] == ["q", "q-dead"]
    assert found[1].reasons == ("dead-letter queue of q",)


@in_virtual_time
async def test_a_dead_letter_queue_of_another_account_is_told() -> None:
    foreign = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": "arn:aws:sqs:eu-central-1:999999999999:x"})}
    sqs = {"get_queue_url": {"QueueUrl": "q"}, "get_queue_attributes": {"Attributes": foreign}}
    gathered = Gathered()
    found = await describe_queues(services(sqs=sqs), {Resource(Kind.QUEUE, "q"): ["because"]}, THERE, gathered)
    assert [queue.name for queue in found] == ["q"]
    assert "in another account or region" in left(gathered, Topic.RESOURCES)[0]


@in_virtual_time
async def test_what_cannot_be_described_is_there_all_the_same() -> None:
    gathered = Gathered()
    refusing = services(
        dynamodb={"describe_table": "ResourceNotFoundException"},
        s3={"get_bucket_notification_configuration": "NoSuchBucket"},
    )
    table = await describe_table(refusing, Resource(Kind.TABLE, "t"), ["because"], gathered)
    assert (table.keys, table.view_type) == ((), None)
    bucket = await describe_bucket(refusing, Resource(Kind.BUCKET, "media"), ["because"], THERE, gathered)
    assert (bucket.own_queue, bucket.notifies) == (None, False)
    assert "table t cannot be described" in left(gathered, Topic.RESOURCES)[0]


@in_virtual_time
async def test_the_queue_of_our_own_entry_and_the_key_of_a_bucket_are_known() -> None:
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"KMSMasterKeyID": "arn:key"}}]}
    s3 = {
        "get_bucket_notification_configuration": {
            "QueueConfigurations": [{"Id": "replicator", "QueueArn": f"{QUEUE}:events"}, {"Id": "x", "QueueArn": "y"}]
        },
        "get_bucket_encryption": {"ServerSideEncryptionConfiguration": encryption},
    }
    bucket = await describe_bucket(services(s3=s3), Resource(Kind.BUCKET, "media"), ["because"], THERE, Gathered())
    assert (bucket.own_queue, bucket.notifies, bucket.encryption_key) == (f"{QUEUE}:events", True, "arn:key")

"""What reaches the queue is judged by all of a notification configuration, and what to put is the whole of it."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors.aws.s3.check_queue import encryption, judged, permits_senders, sender_statement
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.coverage import KINDS, NOT_NEEDED, missing_kinds, taken_elsewhere, with_kinds
from connectors.aws.sqs.queue import Queue
from replicator.model import Finding, Severity

ARN = "arn:aws:sqs:eu-west-1:111122223333:media-events"
QUEUE = Queue("https://sqs/media-events", ARN, False, timedelta(days=4), 30, 0)


def queue_entry(*events: str, arn: str = ARN, **rules: str) -> dict[str, Any]:
    told = [{"Name": name, "Value": value} for name, value in rules.items()]
    return {
        "Id": "x",
        "QueueArn": arn,
        "Events": list(events),
        **({"Filter": {"Key": {"FilterRules": told}}} if told else {}),
    }


def to_queue(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"QueueConfigurations": list(entries), "ResponseMetadata": {}, **more}


def finding(configuration: dict[str, Any], **settings: Any) -> Finding:
    config = S3SourceConfig(type="s3", bucket="media", notifications="media-events", **settings)
    (found,) = judged(configuration, config, QUEUE, "where")
    return found


def test_all_kinds_are_found_however_they_are_told() -> None:
    assert missing_kinds(to_queue(queue_entry(*KINDS)), ARN, "") == []
    single = [kind.removesuffix("*") + one for kind, all_ in KINDS.items() for one in all_]
    assert missing_kinds(to_queue(queue_entry(*single, "s3:LifecycleTransition")), ARN, "") == []
    halves = queue_entry(*single[:6]), queue_entry(*single[6:], "s3:LifecycleTransition")
    assert missing_kinds(to_queue(*halves), ARN, "") == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_missing_kind_is_named(kind: str) -> None:
    others = [other for other in KINDS if other != kind]
    assert missing_kinds(to_queue(queue_entry(*others)), ARN, "") == [kind]
    some = [kind.removesuffix("*") + one for one in KINDS[kind][1:]]
    assert missing_kinds(to_queue(queue_entry(*others, *some)), ARN, "") == [kind]


def test_another_queue_does_not_count() -> None:
    assert missing_kinds(to_queue(queue_entry(*KINDS, arn=f"{ARN}-other")), ARN, "") == list(KINDS)
    assert missing_kinds({}, ARN, "") == list(KINDS)


@pytest.mark.parametrize(
    ("rules", "prefix", "covered"),
    [
        ({"Prefix": "in/"}, "in/", True),
        ({"prefix": "in/"}, "in/deep/", True),
        ({"Prefix": "in+a/"}, "in a/", True),
        ({"Prefix": ""}, "", True),
        ({"Prefix": "in/"}, "", False),
        ({"Prefix": "in/deep/"}, "in/", False),
        ({"Suffix": ".jpg"}, "", False),
        ({"Suffix": ""}, "", True),
    ],
)
def test_a_filter_must_let_every_key_of_the_pipeline_through(rules: dict[str, str], prefix: str, covered: bool) -> None:
    configuration = to_queue(queue_entry(*KINDS, **rules))
    assert (missing_kinds(configuration, ARN, prefix) == []) is covered
    found = finding(configuration, prefix=prefix or None)
    assert (found.severity is Severity.OK) is covered
    assert covered or "leaves out keys" in found.message


def test_what_to_put_keeps_what_there_is_and_is_enough() -> None:
    before = to_queue(
        queue_entry("s3:ObjectCreated:*"),
        queue_entry("s3:ObjectRestore:Post", arn=f"{ARN}-other"),
        LambdaFunctionConfigurations=[{"LambdaFunctionArn": "f", "Events": ["s3:ObjectAcl:Put"]}],
    )
    missing = missing_kinds(before, ARN, "in/")
    after = json.loads(with_kinds(before, ARN, "in/", missing))
    assert missing_kinds(after, ARN, "in/") == []
    assert after["LambdaFunctionConfigurations"] == before["LambdaFunctionConfigurations"]
    assert all(entry in after["QueueConfigurations"] for entry in before["QueueConfigurations"])
    assert "ResponseMetadata" not in after
    again = json.loads(with_kinds(after, ARN, "in/", missing))
    assert again == after, "ours is replaced, not added twice"


def test_what_is_to_be_put_keeps_what_our_own_entry_tells_already() -> None:
    """Whoever followed the documentation, and left something out, has an entry of that name: it is added to."""
    ours = {**queue_entry("s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"), "Id": "replicator"}
    before = to_queue(ours, {**queue_entry("s3:ObjectAcl:Put", arn=f"{ARN}-other"), "Id": "other"})
    after = json.loads(with_kinds(before, ARN, "", missing_kinds(before, ARN, "")))
    assert missing_kinds(after, ARN, "") == []
    assert len(after["QueueConfigurations"]) == 2
    events = [event for entry in after["QueueConfigurations"] for event in entry["Events"]]
    assert "s3:ObjectAcl:Put" in events
    assert "s3:ObjectRemoved:Delete" not in events, "S3 refuses what overlaps"


def test_a_name_that_another_queue_has_is_left_to_it() -> None:
    other = {**queue_entry("s3:ObjectAcl:Put", arn=f"{ARN}-other"), "Id": "replicator"}
    after = json.loads(with_kinds(to_queue(other), ARN, "", list(KINDS)))
    assert other in after["QueueConfigurations"]
    assert len({entry["Id"] for entry in after["QueueConfigurations"]}) == 2


def test_missing_changes_and_tags_are_errors_with_the_command() -> None:
    found = finding(to_queue())
    assert found.severity is Severity.ERROR
    assert "s3:ObjectTagging:*" in found.message
    assert "put-bucket-notification-configuration --bucket media" in found.fix
    only_rest = to_queue(queue_entry(*(k for k in KINDS if "Lifecycle" not in k)))
    assert finding(only_rest).severity is Severity.WARNING
    assert finding(only_rest, relist_interval_s=None).severity is Severity.ERROR


def test_restores_and_transitions_are_worth_having_and_no_more() -> None:
    """Also where nothing is listed again: a restored object is retried then, and a tier is no content."""
    configuration = to_queue(queue_entry(*(k for k in KINDS if k not in NOT_NEEDED)))
    assert finding(configuration).severity is Severity.WARNING
    assert finding(configuration, relist_interval_s=None).severity is Severity.WARNING


def test_tags_that_are_not_read_need_no_events() -> None:
    assert finding(to_queue(queue_entry(*(k for k in KINDS if "Tagging" not in k))), tags=False).severity is Severity.OK


def test_what_goes_elsewhere_already_cannot_be_put_twice() -> None:
    configuration = to_queue(queue_entry("s3:ObjectCreated:Put", arn=f"{ARN}-other"))
    assert taken_elsewhere(configuration, ARN, list(KINDS)) == ["s3:ObjectCreated:*"]
    found = finding(configuration)
    assert "already goes elsewhere" in found.fix
    assert "put-bucket" not in found.fix


@pytest.mark.parametrize("way", [{"EventBridgeConfiguration": {}}, {"TopicConfigurations": [{"Events": []}]}])
def test_what_comes_by_another_way_cannot_be_judged(way: dict[str, Any]) -> None:
    found = finding(to_queue(**way))
    assert found.severity is Severity.NOTE
    assert "EventBridge or a topic" in found.message


@pytest.mark.parametrize(
    ("key", "severities"),
    [
        (None, []),
        ("alias/ours", [Severity.NOTE]),
        ("alias/aws/sqs", [Severity.ERROR]),
        ("arn:aws:kms:eu-west-1:111122223333:alias/aws/sqs", [Severity.ERROR]),
    ],
)
def test_a_queue_under_the_key_that_is_awss_own_gets_no_notifications(
    key: str | None, severities: list[Severity]
) -> None:
    """No service may use that one, and its policy cannot be changed."""
    found = encryption(replace(QUEUE, key=key), "where")
    assert [finding.severity for finding in found] == severities
    assert all("kms:" in finding.fix or "your own key" in finding.fix for finding in found)


def policy(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_a_policy_lets_notifications_in() -> None:
    ours = json.loads(sender_statement(ARN, "media"))
    assert permits_senders(policy(ours), "media")
    assert permits_senders(json.dumps({"Statement": ours}), "media")
    everybody = {**ours, "Principal": "*", "Action": ["SQS:SendMessage", "sqs:ReceiveMessage"]}
    assert permits_senders(policy(everybody), "media")
    assert permits_senders(policy({**ours, "Principal": {"Service": ["events.amazonaws.com"]}}), "media")
    assert not permits_senders("", "media")
    assert not permits_senders(policy({**ours, "Effect": "Deny"}), "media")
    assert not permits_senders(policy({**ours, "Action": "sqs:ReceiveMessage"}), "media")
    assert not permits_senders(policy({**ours, "Principal": {"AWS": "arn:aws:iam::1:root"}}), "media")


@pytest.mark.parametrize("operator", ["ArnEquals", "ArnLike", "StringLike", "ForAnyValue:StringEquals"])
def test_a_policy_for_another_bucket_lets_none_in(operator: str) -> None:
    """S3 would be refused, and nobody told. Of a rule or a topic it cannot be known what it sends."""

    def on(*sources: str) -> str:
        ours = json.loads(sender_statement(ARN, "media"))
        return policy({**ours, "Condition": {operator: {"AWS:SourceArn": list(sources)}}})

    assert permits_senders(on("arn:aws:s3:::other", "arn:aws:s3:::media"), "media")
    assert permits_senders(on("arn:aws:s3:::med*"), "media")
    assert permits_senders(on("arn:aws:events:eu-central-1:1:rule/media"), "media")
    assert not permits_senders(on("arn:aws:s3:::other"), "media")


def test_what_is_to_be_added_to_a_policy_is_of_the_partition_of_the_queue() -> None:
    there = json.loads(sender_statement("arn:aws-cn:sqs:cn-north-1:1:q", "media"))
    assert there["Condition"]["ArnEquals"]["aws:SourceArn"] == "arn:aws-cn:s3:::media"

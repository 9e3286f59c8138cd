"""Findings about the notifications of a bucket: whether all that happens reaches the queue, and stays until it is read.

Nothing is changed, and nothing is received.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from connectors.aws.calls import Caller
from connectors.aws.errors import AwsRefusal
from connectors.aws.s3.check import PAGE, POLICY
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.coverage import (
    CHANGES,
    NOT_NEEDED,
    TAGGING,
    Configuration,
    goes_by_another_way,
    missing_kinds,
    narrower_filters,
    taken_elsewhere,
    with_kinds,
)
from connectors.aws.s3.following import Following
from connectors.aws.s3.sdk import BucketClient
from connectors.aws.sqs.check import settling_permitted
from connectors.aws.sqs.consumers import working_mappings
from connectors.aws.sqs.queue import Queue
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.wording import counted

SENDERS = frozenset({"s3.amazonaws.com", "events.amazonaws.com", "sns.amazonaws.com", "*"})
"""Who brings notifications to a queue."""

SENDING = frozenset({"sqs:sendmessage", "sqs:*", "*"})

SOURCE = "aws:sourcearn"
"""The condition that names who has sent it, in lower case."""

OF_A_BUCKET = re.compile(r"arn:[^:]+:s3:::(.+)")

KEY_OF_AWS = "alias/aws/sqs"
"""The key that AWS keeps for queues; nobody can change its policy."""

FEW_RECEIVES = 10

SHORT_RETENTION = timedelta(days=1)


def without_queue(config: S3SourceConfig, where: str) -> Finding:
    """What it means to follow by listing alone."""
    return Finding(
        Severity.WARNING,
        f"{where}.notifications",
        f"there are none: changes are found by listing every {config.relist_interval_s or 0:,.0f} s, "
        "and changed tags not at all",
        f"Set them up, see {PAGE}",
    )


async def check_queue(
    caller: Caller, client: BucketClient, config: S3SourceConfig, following: Following
) -> list[Finding]:
    """Called once the queue is known to exist."""
    queue, where = following.queue, following.where
    findings = [_retention(queue, where), *_redrive(queue, where), *encryption(queue, where)]
    return [
        *findings,
        *await settling_permitted(following.caller, following.client, queue, where, POLICY),
        await _policy(following, config),
        await _others(following, config),
        *await _configuration(caller, client, config, queue, where),
    ]


def _retention(queue: Queue, where: str) -> Finding:
    days = queue.retention / timedelta(days=1)
    message = f"queue {queue.name} keeps notifications for {days:.3g} days"
    if queue.retention < SHORT_RETENTION:
        return Finding(Severity.WARNING, where, message, "Raise MessageRetentionPeriod, for example to 14 days")
    return Finding(Severity.OK, where, message)


def _redrive(queue: Queue, where: str) -> list[Finding]:
    if queue.redrive is None or queue.redrive.most_receives >= FEW_RECEIVES:
        return []
    return [
        Finding(
            Severity.WARNING,
            where,
            f"after {counted(queue.redrive.most_receives, 'receive')} a notification goes to a dead-letter queue, "
            "which is not read; a crash is one",
            "Take the redrive policy away, or raise maxReceiveCount",
        )
    ]


def encryption(queue: Queue, where: str) -> list[Finding]:
    """Findings about the key of a queue, none where it has none. Pure."""
    if queue.key is None:
        return []
    message = f"the queue is encrypted with key {queue.key}"
    if queue.key.endswith(KEY_OF_AWS):
        return [
            Finding(
                Severity.ERROR,
                where,
                f"{message}, which S3, EventBridge and SNS may not use: nothing they send arrives",
                "Encrypt it with SSE-SQS, or with your own key whose policy permits them kms:GenerateDataKey",
            )
        ]
    fix = "Permit kms:Decrypt on it, and kms:GenerateDataKey to S3 in the key's own policy"
    return [Finding(Severity.NOTE, where, message, fix)]


async def _policy(following: Following, config: S3SourceConfig) -> Finding:
    queue, where = following.queue, following.where
    try:
        answer = await following.caller.probe(
            following.client.get_queue_attributes, QueueUrl=queue.url, AttributeNames=["Policy", "QueueArn"]
        )
    except (ConfigurationError, AwsRefusal) as error:
        return Finding(Severity.NOTE, where, f"the queue's policy cannot be read ({error})", POLICY)
    if permits_senders(answer["Attributes"].get("Policy", ""), config.bucket):
        return Finding(Severity.OK, where, "the queue's policy lets notifications in")
    return Finding(
        Severity.WARNING,
        where,
        "the queue's policy lets neither S3 nor EventBridge nor SNS send to it what happens in this bucket",
        f"Add this statement, see {PAGE}: {sender_statement(queue.arn, config.bucket)}",
    )


def permits_senders(policy: str, bucket: str) -> bool:
    """Whether any of a queue's statements names one of those who bring notifications, or everybody, and is not meant
    for other buckets alone.
    """
    if not policy:
        return False
    statements = json.loads(policy).get("Statement", [])
    return any(_permits(one, bucket) for one in (statements if isinstance(statements, list) else [statements]))


def _permits(statement: Mapping[str, Any], bucket: str) -> bool:
    principal = statement.get("Principal", {})
    named = principal.get("Service", principal.get("AWS")) if isinstance(principal, dict) else principal
    sends = {action.lower() for action in _several(statement.get("Action"))} & SENDING
    if statement.get("Effect") != "Allow" or not sends or not {*_several(named)} & SENDERS:
        return False
    buckets = [OF_A_BUCKET.match(arn) for arn in _sources(statement)]
    return not buckets or any(found is None or fnmatchcase(bucket, found[1]) for found in buckets)


def _sources(statement: Mapping[str, Any]) -> list[str]:
    """The ARNs on whose account alone a statement permits anything; none where it does not say."""
    tests = [test for operator, test in statement.get("Condition", {}).items() if "Not" not in operator]
    return [arn for test in tests for name, arns in test.items() if name.lower() == SOURCE for arn in _several(arns)]


def _several(value: Any) -> list[str]:
    """A policy has one text, or a list of them."""
    return value if isinstance(value, list) else [str(value)]


def sender_statement(queue_arn: str, bucket: str) -> str:
    """What lets S3 send to the queue, as JSON. Both are in one partition, such as that of China."""
    partition = queue_arn.split(":")[1] if queue_arn.startswith("arn:") else "aws"
    return json.dumps(
        {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:{partition}:s3:::{bucket}"}},
        }
    )


async def _others(following: Following, config: S3SourceConfig) -> Finding:
    """A notification that somebody else takes is lost to us."""
    queue, where = following.queue, following.where
    of_queue = config.model_copy(update={"endpoint": config.queue_endpoint})
    try:
        functions = await working_mappings(following.caller, of_queue, queue, where)
    except (ConfigurationError, AwsRefusal) as error:
        return Finding(
            Severity.NOTE,
            where,
            f"it cannot be known which functions the queue triggers ({error})",
            "Make sure that nobody else receives from it, or permit lambda:ListEventSourceMappings",
        )
    if functions:
        return Finding(
            Severity.ERROR,
            where,
            f"the queue triggers {', '.join(sorted(functions))}, which takes notifications away",
            "Give the functions another queue: SNS and EventBridge can send to several",
        )
    return Finding(Severity.OK, where, "the queue triggers no function")


async def _configuration(
    caller: Caller, client: BucketClient, config: S3SourceConfig, queue: Queue, where: str
) -> list[Finding]:
    try:
        told = await caller.probe(client.get_bucket_notification_configuration, Bucket=config.bucket)
    except (ConfigurationError, AwsRefusal) as error:
        return [
            Finding(
                Severity.WARNING, where, f"what is notified cannot be read ({error})", "Permit s3:GetBucketNotification"
            )
        ]
    return judged(told, config, queue, where)


def judged(told: Configuration, config: S3SourceConfig, queue: Queue, where: str) -> list[Finding]:
    """Findings about a notification configuration. Pure."""
    missing = [k for k in missing_kinds(told, queue.arn, config.key_prefix) if config.tags or k != TAGGING]
    if not missing:
        return [Finding(Severity.OK, where, f"every change of the bucket is notified to queue {queue.name}")]
    if goes_by_another_way(told):
        return [
            Finding(
                Severity.NOTE,
                where,
                f"{', '.join(missing)} may come through EventBridge or a topic, which cannot be seen from here",
                f"Make sure that all of them reach queue {queue.name}, see {PAGE}",
            )
        ]
    return [_lacking(told, config, queue, where, missing)]


def _lacking(told: Configuration, config: S3SourceConfig, queue: Queue, where: str, missing: Sequence[str]) -> Finding:
    """Changes that are not notified are found by a listing at best; tags never."""
    needed = [kind for kind in missing if kind not in NOT_NEEDED]
    severe = bool(needed) and (config.relist_interval_s is None or not {*CHANGES, TAGGING}.isdisjoint(needed))
    message = f"not notified to queue {queue.name}: {', '.join(missing)}"
    if narrow := narrower_filters(told, queue.arn, config.key_prefix):
        message += f"; the filter of {', '.join(narrow)} leaves out keys that are copied"
    if elsewhere := taken_elsewhere(told, queue.arn, missing):
        fix = (
            f"{', '.join(elsewhere)} already goes elsewhere, and S3 notifies one place only: let EventBridge or a "
            f"topic send to both, see {PAGE}"
        )
    else:
        fix = (
            f"aws s3api put-bucket-notification-configuration --bucket {config.bucket} "
            f"--notification-configuration '{with_kinds(told, queue.arn, config.key_prefix, missing)}'"
        )
    return Finding(Severity.ERROR if severe else Severity.WARNING, where, message, fix)

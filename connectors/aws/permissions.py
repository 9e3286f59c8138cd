"""What replicator must be permitted at AWS, in one place: the pages show it, and `init` writes it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Statement = dict[str, Any]
"""Of a policy."""

LIST_MAPPINGS = "lambda:ListEventSourceMappings"
METRICS = "cloudwatch:GetMetricStatistics"

READ_TABLE = (
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:Scan",
    "dynamodb:BatchGetItem",
)
READ_STREAM = ("dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords")

LIST_BUCKET = ("s3:ListBucket",)
READ_OBJECTS = ("s3:GetObject", "s3:GetObjectTagging")
CHECK_BUCKET = (
    "s3:GetBucketNotification",
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucketMultipartUploads",
)

WATCH_QUEUE = ("sqs:GetQueueUrl", "sqs:GetQueueAttributes")
TAKE_MESSAGES = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")

DECRYPT = "kms:Decrypt"

SWITCH_MAPPING = ("lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping")
SWITCH_RULE = ("events:DescribeRule", "events:EnableRule", "events:DisableRule", "events:PutRule")
SWITCH_SCHEDULE = ("scheduler:GetSchedule", "scheduler:UpdateSchedule")
PASS_ROLE = "iam:PassRole"  # noqa: S105 — the name of an action
SWITCH_NOTIFICATION = ("s3:GetBucketNotification", "s3:PutBucketNotification")

SWITCHES = {
    "event_source_mapping": ("SwitchMappings", SWITCH_MAPPING),
    "rule": ("SwitchRules", SWITCH_RULE),
    "schedule": ("SwitchSchedules", SWITCH_SCHEDULE),
    "s3_notification": ("SwitchNotifications", SWITCH_NOTIFICATION),
}
"""By the type of a trigger: what its statement is called, and its actions."""

SCHEDULER = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}

LONGEST_POLICY = 6144
"""Characters of a managed policy without white space; a longer one has to be divided."""


@dataclass(frozen=True, slots=True)
class Needed:
    """ARNs of what a migration reads and switches. `taken` are queues that are received from, those of messages and
    those of notifications; `switched` are triggers by their type.
    """

    tables: Sequence[str] = ()
    buckets: Sequence[str] = ()
    taken: Sequence[str] = ()
    keys: Sequence[str] = ()
    switched: Mapping[str, Sequence[str]] = field(default_factory=dict)
    roles: Sequence[str] = ()


def policy(needed: Needed) -> dict[str, Any]:
    """The least that a migration of these needs, `check` and `estimate` included."""
    statements = [
        *_statement("ReadTables", READ_TABLE, needed.tables),
        *_statement("ReadStreams", READ_STREAM, [f"{arn}/stream/*" for arn in needed.tables]),
        *_statement("ListBuckets", (*LIST_BUCKET, *CHECK_BUCKET), needed.buckets),
        *_statement("ReadObjects", READ_OBJECTS, [f"{arn}/*" for arn in needed.buckets]),
        *_statement("TakeMessages", (*WATCH_QUEUE, *TAKE_MESSAGES), needed.taken),
        *_statement("Decrypt", (DECRYPT,), needed.keys),
        *(statement for kind, arns in needed.switched.items() for statement in _statement(*SWITCHES[kind], arns)),
        *({**s, "Condition": SCHEDULER} for s in _statement("PassRolesOfSchedules", (PASS_ROLE,), needed.roles)),
        *_statement("KnowConsumersAndRates", (LIST_MAPPINGS, METRICS), ["*"]),
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(name: str, actions: Iterable[str], arns: Iterable[str]) -> list[Statement]:
    """None where there is nothing that it would be about."""
    resources = sorted(set(arns))
    listed = list(actions)
    if not resources:
        return []
    return [{"Sid": name, "Effect": "Allow", "Action": listed, "Resource": resources}]

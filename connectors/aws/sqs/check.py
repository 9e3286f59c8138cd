"""Findings about a queue: permissions by calls without effect, settings by reading. Nothing is received: that is to
take.
"""

from dataclasses import replace
from datetime import timedelta

from connectors.aws.calls import Caller, Operation
from connectors.aws.errors import AwsRefusal
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.consumers import working_mappings
from connectors.aws.sqs.places import is_same, queue_name, queue_place
from connectors.aws.sqs.queue import Queue
from connectors.aws.sqs.sdk import QueueClient
from connectors.aws.sqs.settling import OVER
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.registry import SourceContext
from replicator.wording import counted

NO_RECEIPT = "replicator-check"
"""A receipt of nothing: whoever may use one is told that it is invalid."""

FEW_RECEIVES = 5
"""A crash, and each redelivery after it, is a receive."""

SHORT_RETENTION = timedelta(days=1)

POLICY = "See docs/connectors/sqs-to-servicebus.md for the policy"


async def check_queue(
    caller: Caller,
    client: QueueClient,
    config: SqsSourceConfig,
    queue: Queue,
    context: SourceContext,
    *,
    receives: bool,
) -> list[Finding]:
    """Called once connected, so the queue exists and may be looked at."""
    where = context.where
    findings = [_kind(queue, where), _retention(queue, where, receives=receives)]
    settling = await settling_permitted(caller, client, queue, where, POLICY)
    findings += settling if receives else [not_yet(finding) for finding in settling]
    findings += [
        Finding(
            Severity.NOTE,
            where,
            "sqs:ReceiveMessage is not tried, since to receive is to take",
            "Make sure that the policy permits it",
        ),
        *_redrive(queue, context),
        await _mappings(Caller(where, context.telemetry, caller.budget), config, queue, where, receives=receives),
    ]
    if queue.key is not None:
        findings.append(
            Finding(
                Severity.NOTE,
                where,
                f"messages are encrypted with key {queue.key}",
                "Permit kms:Decrypt on it, or nothing can be received",
            )
        )
    return findings


def _kind(queue: Queue, where: str) -> Finding:
    kind = "a FIFO queue: groups keep their order" if queue.ordered else "a standard queue: messages have no order"
    return Finding(Severity.OK, f"{where}.queue", f"queue {queue.name} is {kind}")


def _retention(queue: Queue, where: str, *, receives: bool) -> Finding:
    """A message that nobody takes in time is deleted by the service."""
    days = queue.retention / timedelta(days=1)
    message = f"the queue deletes messages that nobody has taken after {days:.3g} days"
    if queue.retention < SHORT_RETENTION:
        return Finding(
            Severity.WARNING,
            where,
            message,
            "Raise MessageRetentionPeriod for the time of the migration: up to 14 days",
        )
    return Finding(Severity.OK if receives else Severity.NOTE, where, message)


async def settling_permitted(
    caller: Caller, client: QueueClient, queue: Queue, where: str, policy: str
) -> list[Finding]:
    """Whether messages may be settled, tried with a receipt that settles nothing. `policy` says what to permit."""
    timeout = {"VisibilityTimeout": 0}
    return [
        await _permission(caller, client.delete_message, queue, where, "sqs:DeleteMessage", policy),
        await _permission(
            caller, client.change_message_visibility, queue, where, "sqs:ChangeMessageVisibility", policy, **timeout
        ),
    ]


async def _permission(
    caller: Caller, operation: Operation, queue: Queue, where: str, permission: str, policy: str, **more: object
) -> Finding:
    try:
        await caller.probe(operation, QueueUrl=queue.url, ReceiptHandle=NO_RECEIPT, **more)
    except ConfigurationError as error:
        return Finding(Severity.ERROR, where, f"{permission}: {error.problem}", policy)
    except AwsRefusal as refusal:
        if refusal.code not in OVER:
            return Finding(Severity.ERROR, where, f"{permission}: {refusal}", policy)
    return Finding(Severity.OK, where, f"{permission} is permitted")


def not_yet(finding: Finding) -> Finding:
    """What is missing to settle messages stands against no run that receives none."""
    if finding.severity not in {Severity.ERROR, Severity.WARNING}:
        return finding
    message = f"{finding.message}; needed when what is held is to be moved"
    return replace(finding, severity=Severity.NOTE, message=message)


def _redrive(queue: Queue, context: SourceContext) -> list[Finding]:
    """What goes to the dead-letter queue is not lost only if that is migrated too."""
    where, redrive = context.where, queue.redrive
    if redrive is None:
        return [Finding(Severity.OK, where, "the queue has no dead-letter queue")]
    name = queue_name(redrive.arn)
    findings = []
    if not unread(queue, context):
        findings.append(Finding(Severity.OK, where, f"the dead-letter queue {name} is a pipeline of this migration"))
    else:
        findings.append(
            Finding(
                Severity.ERROR,
                where,
                f"messages that are received {redrive.most_receives} times go to queue {name}, which no pipeline of "
                "this migration reads",
                "Add a pipeline for it",
            )
        )
    if redrive.most_receives < FEW_RECEIVES:
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"after {counted(redrive.most_receives, 'receive')} a message goes to the dead-letter queue; a crash "
                "and every redelivery is one",
                "Raise maxReceiveCount of the redrive policy for the time of the migration, for example to 100",
            )
        )
    return findings


def unread(queue: Queue, context: SourceContext) -> bool:
    """Whether messages may go to a dead-letter queue that no pipeline of the migration reads."""
    if queue.redrive is None:
        return False
    place = queue_place(queue.redrive.arn)
    return not any(is_same(place, sibling) for sibling in context.siblings)


async def _mappings(caller: Caller, config: SqsSourceConfig, queue: Queue, where: str, *, receives: bool) -> Finding:
    try:
        functions = await working_mappings(caller, config, queue, where)
    except (ConfigurationError, AwsRefusal) as error:
        return Finding(
            Severity.ERROR if receives else Severity.NOTE,
            where,
            f"it cannot be known which functions the queue triggers ({error})",
            "Permit lambda:ListEventSourceMappings",
        )
    if not functions:
        return Finding(Severity.OK, where, "the queue triggers no function")
    triggered = f"the queue triggers {', '.join(sorted(functions))}"
    if receives:
        return Finding(
            Severity.ERROR,
            f"{where}.consume",
            f"{triggered}, and each message would go to one of both",
            "Disable the event source mapping, or use consume: hold",
        )
    return Finding(Severity.NOTE, where, f"{triggered}, and goes on doing so: nothing is received with consume: hold")

"""What is done to a bucket and the queue of its notifications, and what of those is yours to set up."""

from connectors.aws.calls import Caller
from connectors.aws.errors import AwsRefusal
from connectors.aws.s3.check_queue import judged
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.coverage import KINDS, Configuration, taken_elsewhere, with_kinds
from connectors.aws.s3.following import Following
from connectors.aws.s3.sdk import BucketClient
from replicator.errors import ConfigurationError
from replicator.model import Severity
from replicator.planning.model import Intended, When

PAGE = "docs/connectors/s3-to-blob.md"

QUEUE_ARN = "QUEUE_ARN"
"""Stands for a queue that is not there yet."""


async def planned_of_bucket(
    caller: Caller, client: BucketClient, config: S3SourceConfig, following: Following | None, *, follows: bool
) -> list[Intended]:
    """Raises nothing for a configuration that may not be read: that is told."""
    name = config.bucket
    intended = [
        Intended(When.RUNNING, f"bucket {name} is only read, with up to {config.max_requests_per_s:g} requests/s"),
        Intended(When.NEVER, f"bucket {name}: neither objects nor settings or notifications are changed"),
    ]
    if not follows:
        return intended
    if following is not None:
        taken = f"queue {following.queue.name}: notifications are received, kept invisible, and deleted once applied"
        intended.append(Intended(When.RUNNING, taken))
    return [*intended, *await _left_to_you(caller, client, config, following)]


async def _left_to_you(
    caller: Caller, client: BucketClient, config: S3SourceConfig, following: Following | None
) -> list[Intended]:
    try:
        told = await caller.probe(client.get_bucket_notification_configuration, Bucket=config.bucket)
    except (ConfigurationError, AwsRefusal) as error:
        return [Intended(When.NEVER, f"notifications are not set up, and what there is cannot be read ({error})")]
    if following is None:
        return without_queue(told, config)
    findings = judged(told, config, following.queue, "")
    lacking = [f for f in findings if f.severity in {Severity.WARNING, Severity.ERROR}]
    return [Intended(When.NEVER, f"{f.message}: replicator does not set that up", f.fix) for f in lacking]


def without_queue(told: Configuration, config: S3SourceConfig) -> list[Intended]:
    """What would have to be set up for changes to be noticed at once. Pure."""
    every = f"every {config.relist_interval_s:,.0f} s" if config.relist_interval_s else "never"
    text = f"notifications are not set up by replicator; without them changes are found by listing, {every}"
    queue = Intended(
        When.NEVER,
        f"{text}. First a queue of their own, whose policy lets S3 send (queue.json: {PAGE})",
        f"aws sqs create-queue --queue-name {queue_for(config.bucket)} --attributes file://queue.json",
    )
    if elsewhere := taken_elsewhere(told, QUEUE_ARN, list(KINDS)):
        text = f"{', '.join(elsewhere)} already goes elsewhere, and S3 notifies one place only"
        return [queue, Intended(When.NEVER, f"{text}: let EventBridge or a topic send to both, see {PAGE}")]
    document = with_kinds(told, QUEUE_ARN, config.key_prefix, list(KINDS))
    command = (
        f"aws s3api put-bucket-notification-configuration --bucket {config.bucket} "
        f"--notification-configuration '{document}'"
    )
    entry = f"then an entry that notifies it, with its ARN for {QUEUE_ARN}, and `notifications` in the config"
    return [queue, Intended(When.NEVER, entry, command)]


def queue_for(bucket: str) -> str:
    """A name for the queue of a bucket's notifications. Pure."""
    return f"{bucket.replace('.', '-')[:70]}-events"

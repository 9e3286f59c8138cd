"""The connectors: each cloud service's source and target side.

What a kind needs is imported when one is opened: an SDK takes a tenth of a second or more to load, and most migrations
use two of them. A config alone needs none.
"""

# ruff: noqa: PLC0415 -- see above

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.triggers.config import EventSourceMappingConfig, NotificationConfig, RuleConfig, ScheduleConfig
from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.functions.config import FunctionConfig
from connectors.azure.servicebus.config import ServiceBusTargetConfig
from connectors.azure.state.config import BlobStateConfig
from replicator import documents, messages, objects
from replicator.documents import Document
from replicator.errors import ConfigurationError
from replicator.messages import Message
from replicator.model import Finding
from replicator.objects import StoredObject
from replicator.ports import Source, StateStore, Target, Trigger
from replicator.registry import (
    RecordKind,
    Registry,
    SourceContext,
    SourceKind,
    StateKind,
    TargetContext,
    TargetKind,
    TriggerContext,
    TriggerKind,
)
from replicator.state.kind import sqlite
from replicator.triggers.hooks import CommandConfig, ManualConfig, WebhookConfig
from replicator.triggers.model import Side

if TYPE_CHECKING:
    from connectors.drafting.draft import Draft

__all__ = ["DRAFTED", "Draft", "draft", "registry"]

Opened = AbstractAsyncContextManager

DRAFTED = ("config.yaml", "aws-policy.json", "azure-roles.sh", "not-covered.md")
"""The files of a draft, the config first."""

DOCUMENT = "document"
OBJECT = "object"
MESSAGE = "message"


def registry() -> Registry:
    """Every connector there is, by the name that `type` has in a config."""
    return Registry(
        sources={
            "dynamodb": SourceKind(DOCUMENT, DynamoDbSourceConfig, _open_table),
            "s3": SourceKind(OBJECT, S3SourceConfig, _open_bucket),
            "sqs": SourceKind(MESSAGE, SqsSourceConfig, _open_queue),
        },
        targets={
            "blob": TargetKind(OBJECT, BlobTargetConfig, _open_blobs),
            "cosmos": TargetKind(DOCUMENT, CosmosTargetConfig, _open_documents),
            "servicebus": TargetKind(MESSAGE, ServiceBusTargetConfig, _open_service_bus),
        },
        records={
            DOCUMENT: RecordKind(body=documents.body_text),
            OBJECT: RecordKind(objects.reference, objects.body_text),
            MESSAGE: RecordKind(messages.reference, messages.body_text),
        },
        triggers={
            "event_source_mapping": TriggerKind(AWS, EventSourceMappingConfig, _trigger("mapping")),
            "rule": TriggerKind(AWS, RuleConfig, _trigger("rule")),
            "schedule": TriggerKind(AWS, ScheduleConfig, _trigger("schedule")),
            "s3_notification": TriggerKind(AWS, NotificationConfig, _trigger("notification")),
            "function": TriggerKind(
                AZURE, FunctionConfig, partial(_open, "connectors.azure.functions.trigger:function")
            ),
            "command": TriggerKind(ANY, CommandConfig, _hook("command")),
            "webhook": TriggerKind(ANY, WebhookConfig, _hook("webhook")),
            "manual": TriggerKind(ANY, ManualConfig, _hook("manual")),
        },
        states={
            "sqlite": sqlite(),
            "blob": StateKind(BlobStateConfig, _open_blob_state, _look_at_blob_state, _check_blob_state),
        },
    )


async def draft(
    functions: Sequence[str], region: str | None, endpoint: str | None, announce: Callable[[str], None]
) -> "Draft":
    """A config for what these functions at AWS use, and what belongs to it; see `connectors.drafting.draft`."""
    from connectors.aws.config import AwsAccess
    from connectors.drafting.draft import draft as make

    try:
        access = AwsAccess(region=region, endpoint=endpoint)
    except ValueError as error:
        raise ConfigurationError("--aws-endpoint", "is no URL", "Give an address like https://host:port") from error
    return await make(functions, access, announce)


AWS, AZURE, ANY = frozenset({Side.AWS}), frozenset({Side.AZURE}), frozenset(Side)


def _trigger(kind: str) -> Callable[[Any, TriggerContext], Opened[Trigger]]:
    return partial(_open, f"connectors.aws.triggers.{kind}:{kind}")


def _hook(kind: str) -> Callable[[Any, TriggerContext], Opened[Trigger]]:
    return partial(_open, f"replicator.triggers.hooking:{kind}")


def _open(place: str, config: Any, context: TriggerContext) -> Opened[Trigger]:
    """By `open_<kind>` of the module that is named before the colon."""
    module, _, kind = place.partition(":")
    opened: Opened[Trigger] = getattr(import_module(module), f"open_{kind}")(config, context)
    return opened


def _open_table(config: DynamoDbSourceConfig, context: SourceContext) -> Opened[Source[Document]]:
    from connectors.aws.dynamodb.source import open_source

    return open_source(config, context)


def _open_bucket(config: S3SourceConfig, context: SourceContext) -> Opened[Source[StoredObject]]:
    from connectors.aws.s3.source import open_source

    return open_source(config, context)


def _open_queue(config: SqsSourceConfig, context: SourceContext) -> Opened[Source[Message]]:
    from connectors.aws.sqs.source import open_source

    return open_source(config, context)


def _open_blobs(config: BlobTargetConfig, context: TargetContext) -> Opened[Target[StoredObject]]:
    from connectors.azure.blob.target import open_target

    return open_target(config, context)


def _open_documents(config: CosmosTargetConfig, context: TargetContext) -> Opened[Target[Document]]:
    from connectors.azure.cosmos.target import open_target

    return open_target(config, context)


def _open_service_bus(config: ServiceBusTargetConfig, context: TargetContext) -> Opened[Target[Message]]:
    from connectors.azure.servicebus.target import open_target

    return open_target(config, context)


def _open_blob_state(config: BlobStateConfig) -> Opened[StateStore]:
    from connectors.azure.state.opening import open_store

    return open_store(config)


def _look_at_blob_state(config: BlobStateConfig) -> Opened[StateStore]:
    from connectors.azure.state.opening import look_at_store

    return look_at_store(config)


async def _check_blob_state(config: BlobStateConfig) -> list[Finding]:
    from connectors.azure.state.checking import check

    return await check(config)

"""The connectors: each cloud service's source and target side."""

from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.source import open_source
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.source import open_source as open_bucket
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.source import open_source as open_queue
from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.target import open_target as open_blob_target
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.target import open_target
from connectors.azure.servicebus.config import ServiceBusTargetConfig
from connectors.azure.servicebus.target import open_target as open_service_bus
from replicator import documents, messages, objects
from replicator.registry import RecordKind, Registry, SourceKind, TargetKind

DOCUMENT = "document"
OBJECT = "object"
MESSAGE = "message"


def registry() -> Registry:
    """Every connector there is, by the name that `type` has in a config."""
    return Registry(
        sources={
            "dynamodb": SourceKind(DOCUMENT, DynamoDbSourceConfig, open_source),
            "s3": SourceKind(OBJECT, S3SourceConfig, open_bucket),
            "sqs": SourceKind(MESSAGE, SqsSourceConfig, open_queue),
        },
        targets={
            "blob": TargetKind(OBJECT, BlobTargetConfig, open_blob_target),
            "cosmos": TargetKind(DOCUMENT, CosmosTargetConfig, open_target),
            "servicebus": TargetKind(MESSAGE, ServiceBusTargetConfig, open_service_bus),
        },
        records={
            DOCUMENT: RecordKind(body=documents.body_text),
            OBJECT: RecordKind(objects.reference, objects.body_text),
            MESSAGE: RecordKind(messages.reference, messages.body_text),
        },
    )

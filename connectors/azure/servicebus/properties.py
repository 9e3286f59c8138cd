"""The application properties of a message that are ours, and names of attributes that would be taken for them."""

from typing import Final, TypeAlias

PropertyValue: TypeAlias = str | int | float | bool
"""What a consumer is given: an int is an AMQP long, a float a double."""

Properties: TypeAlias = dict[str, PropertyValue]

PREFIX: Final = "replicator_"
ATTRIBUTE_PREFIX: Final = "replicator_attribute_"
"""Leads the name of an attribute that itself begins with our prefix."""

SOURCE_QUEUE: Final = "replicator_source_queue"
SENT_AT: Final = "replicator_sent_at"
RECEIVED: Final = "replicator_received"
SEQUENCE: Final = "replicator_sequence"
DEDUPLICATION_ID: Final = "replicator_deduplication_id"
GROUP: Final = "replicator_group"
ORDERED: Final = "replicator_ordered"
MESSAGE_ID: Final = "replicator_message_id"
TYPES: Final = "replicator_types"
TRACE_HEADER: Final = "replicator_trace_header"
CLAIM_URL: Final = "replicator_claim_url"
CLAIM_BYTES: Final = "replicator_claim_bytes"
CLAIM_SHA256: Final = "replicator_claim_sha256"
CLAIM_CONTENT_TYPE: Final = "replicator_claim_content_type"
CLAIM_S3_BUCKET: Final = "replicator_claim_s3_bucket"
CLAIM_S3_KEY: Final = "replicator_claim_s3_key"
CLAIM_S3_CLASS: Final = "replicator_claim_s3_class"
PAYLOAD_S3_BUCKET: Final = "replicator_payload_s3_bucket"
PAYLOAD_S3_KEY: Final = "replicator_payload_s3_key"
PAYLOAD_S3_CLASS: Final = "replicator_payload_s3_class"
PAYLOAD_ATTRIBUTE: Final = "replicator_payload_attribute"
PAYLOAD_SIZE: Final = "replicator_payload_size"

OURS: Final = frozenset(
    value for name, value in list(globals().items()) if name.isupper() and isinstance(value, str) and value != PREFIX
)
"""Every name above; documentation names the same."""

DIAGNOSTIC_ID: Final = "Diagnostic-Id"
TRACE_PARENT: Final = "traceparent"
TRACE_CONTEXT: Final = frozenset({DIAGNOSTIC_ID, TRACE_PARENT})
"""Where clients of Service Bus, and OpenTelemetry, look for the W3C trace context of a message."""


def property_name(attribute: str) -> str:
    """The property that an attribute becomes."""
    return f"{ATTRIBUTE_PREFIX}{attribute}" if attribute.startswith(PREFIX) else attribute


def attribute_name(name: str) -> str | None:
    """The attribute that a property was; None for one of ours."""
    if name.startswith(ATTRIBUTE_PREFIX):
        return name.removeprefix(ATTRIBUTE_PREFIX)
    return None if name.startswith(PREFIX) else name

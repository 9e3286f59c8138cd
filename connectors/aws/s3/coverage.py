"""Which events of a bucket reach a queue, by the bucket's notification configuration. Pure."""

import json
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any
from urllib.parse import unquote_plus

KINDS = {
    "s3:ObjectCreated:*": ("Put", "Post", "Copy", "CompleteMultipartUpload"),
    "s3:ObjectRemoved:*": ("Delete", "DeleteMarkerCreated"),
    "s3:LifecycleExpiration:*": ("Delete", "DeleteMarkerCreated"),
    "s3:ObjectTagging:*": ("Put", "Delete"),
    "s3:ObjectRestore:*": ("Completed",),
    "s3:LifecycleTransition": (),
}
"""What must be notified, and the single events that each stands for."""

CHANGES = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
"""Without these next to nothing is noticed."""

TAGGING = "s3:ObjectTagging:*"

NOT_NEEDED = ("s3:ObjectRestore:*", "s3:LifecycleTransition")
"""Without these no content goes unnoticed: an object that was restored waits for a retry, and a tier for the next
change.
"""

OUR_NAME = "replicator"

PLACES = ("QueueConfigurations", "TopicConfigurations", "LambdaFunctionConfigurations")

Configuration = Mapping[str, Any]
"""An answer to GetBucketNotificationConfiguration."""


def missing_kinds(configuration: Configuration, queue_arn: str, prefix: str) -> list[str]:
    """The kinds of events that do not all come to the queue from every key that begins with `prefix`."""
    told = {
        event
        for entry in configuration.get("QueueConfigurations", ())
        if entry["QueueArn"] == queue_arn and _covers(entry, prefix)
        for event in entry["Events"]
    }
    return [kind for kind, single in KINDS.items() if not _is_told(kind, single, told)]


def narrower_filters(configuration: Configuration, queue_arn: str, prefix: str) -> list[str]:
    """The names of notifications to the queue that leave some of these keys out."""
    return [
        str(entry.get("Id", "without a name"))
        for entry in configuration.get("QueueConfigurations", ())
        if entry["QueueArn"] == queue_arn and not _covers(entry, prefix)
    ]


def with_kinds(configuration: Configuration, queue_arn: str, prefix: str, kinds: Sequence[str]) -> str:
    """The whole configuration as it must be put, as JSON: what is put replaces all there was.

    What is added to our entry is taken from the others of the queue, since S3 refuses what overlaps.
    """
    kept = {name: configuration[name] for name in (*PLACES, "EventBridgeConfiguration") if name in configuration}
    queues, told = [], []
    for entry in kept.get("QueueConfigurations", ()):
        if entry["QueueArn"] != queue_arn:
            queues.append(entry)
            continue
        events = _without(entry["Events"], kinds)
        if entry.get("Id") == OUR_NAME and _covers(entry, prefix):
            told += events
        elif events:
            queues.append({**entry, "Events": events})
    rules = [{"Name": "prefix", "Value": prefix}] if prefix else []
    ours: dict[str, object] = {"Id": _free_name(queues), "QueueArn": queue_arn, "Events": [*told, *kinds]}
    ours |= {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return json.dumps({**kept, "QueueConfigurations": [*queues, ours]})


def taken_elsewhere(configuration: Configuration, queue_arn: str, kinds: Sequence[str]) -> list[str]:
    """Those of these kinds that are notified to something else already: S3 sends no event to two of them."""
    others = {
        _family(event)
        for place in PLACES
        for entry in configuration.get(place, ())
        if entry.get("QueueArn") != queue_arn
        for event in entry["Events"]
    }
    return [kind for kind in kinds if _family(kind) in others]


def goes_by_another_way(configuration: Configuration) -> bool:
    """Whether events may come by EventBridge or a topic, which this configuration does not show."""
    return "EventBridgeConfiguration" in configuration or bool(configuration.get("TopicConfigurations"))


def _without(events: Sequence[str], kinds: Sequence[str]) -> list[str]:
    families = {_family(kind) for kind in kinds}
    return [event for event in events if _family(event) not in families]


def _free_name(entries: Sequence[Mapping[str, Any]]) -> str:
    names = {entry.get("Id") for entry in entries}
    return next(name for n in count(1) if (name := OUR_NAME if n == 1 else f"{OUR_NAME}-{n}") not in names)


def _is_told(kind: str, single: Sequence[str], told: set[str]) -> bool:
    family = kind.removesuffix("*")
    return kind in told or (bool(single) and all(family + one in told for one in single))


def _family(event: str) -> str:
    return ":".join(event.split(":")[:2])


def _covers(entry: Mapping[str, Any], prefix: str) -> bool:
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    for rule in rules:
        value = unquote_plus(rule.get("Value", ""))
        if rule["Name"].lower() == "prefix" and prefix.startswith((value, rule.get("Value", ""))):
            continue
        if value:
            return False
    return True

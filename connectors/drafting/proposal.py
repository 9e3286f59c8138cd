"""What a config is to hold: names on both sides, made from what was found. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from connectors.aws.discovery.model import Bucket, Discovery, Entry, Kind, Queue, Resource, Table

MARKER = "replicator"
"""The container of the markers, whose name no other container may have."""

LONGEST_NAME = 63


class Names:
    """Hands out names that are apart from each other, whatever their case."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}

    def new(self, wanted: str, longest: int = LONGEST_NAME) -> str:
        """The name itself, or with a number behind it."""
        name, count = wanted[:longest].rstrip("-"), 1
        while name.lower() in self._taken:
            count += 1
            name = f"{wanted[: longest - 4].rstrip('-')}-{count}"
        self._taken.add(name.lower())
        return name


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline to be: its name, what was found, and the name at Azure."""

    name: str
    source: Table | Bucket | Queue
    target: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """An entry point to be. `blank` is the environment variable that names the Azure function."""

    name: str
    entry: Entry
    pipeline: str
    blank: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """The whole config to be."""

    migration: str
    pipelines: tuple[Pipeline, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    blanks: dict[str, str] = field(default_factory=dict)


BLANKS = {
    Kind.TABLE: {
        "COSMOS_ENDPOINT": "URL of the Cosmos DB account, like https://shop.documents.azure.com:443/",
        "COSMOS_DATABASE": "name of its database",
    },
    Kind.BUCKET: {"BLOB_ENDPOINT": "URL of the blob service, like https://shop.blob.core.windows.net"},
    Kind.QUEUE: {"SERVICEBUS_NAMESPACE": "host of the namespace, like shop.servicebus.windows.net"},
}
"""By what is carried: environment variables that a config needs, and what they hold."""

APP = "FUNCTION_APP_ID"
APP_MEANING = "resource id of the function app, /subscriptions/…/providers/Microsoft.Web/sites/NAME"


def propose(found: Discovery) -> Proposal:
    """Names are made so that the config is valid, and that no two things share one."""
    pipelines = _pipelines(found)
    by_resource = {_resource(pipeline.source): pipeline.name for pipeline in pipelines}
    names = Names()
    triggers = []
    for entry in found.entries:
        name = names.new(slug(entry.name))
        pipeline = by_resource.get(entry.resource, "") if entry.resource else ""
        triggers.append(Trigger(name, entry, pipeline, f"TWIN_{name.upper().replace('-', '_')}"))
    blanks = {name: text for kind in Kind if _has(pipelines, kind) for name, text in BLANKS[kind].items()}
    if triggers:
        blanks[APP] = APP_MEANING
        blanks |= {t.blank: f"name of the Azure function that takes over from {t.name}" for t in triggers}
    return Proposal(slug(found.functions[0]), tuple(pipelines), tuple(triggers), blanks)


def _pipelines(found: Discovery) -> list[Pipeline]:
    names, containers, blobs, queues = Names(), Names([MARKER]), Names([MARKER]), Names()
    pipelines = [
        Pipeline(names.new(slug(table.name)), table, containers.new(table.name, 255)) for table in found.tables
    ]
    pipelines += [
        Pipeline(names.new(slug(bucket.name)), bucket, blobs.new(container_name(bucket.name)))
        for bucket in found.buckets
    ]
    for queue in found.queues:
        plain = queue.name.removesuffix(".fifo").strip("_-") or "queue"
        pipelines.append(Pipeline(names.new(slug(plain)), queue, queues.new(plain, 255)))
    return pipelines


def _has(pipelines: Iterable[Pipeline], kind: Kind) -> bool:
    return any(_resource(pipeline.source).kind is kind for pipeline in pipelines)


KINDS = {Table: Kind.TABLE, Bucket: Kind.BUCKET, Queue: Kind.QUEUE}


def _resource(source: Table | Bucket | Queue) -> Resource:
    return Resource(KINDS[type(source)], source.name)


def slug(text: str) -> str:
    """As names in a config are: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LONGEST_NAME].strip("-") or "unnamed"


def container_name(bucket: str) -> str:
    """As containers of blobs are named: also no two hyphens in a row, and 3 letters and digits at least."""
    name = slug(bucket)
    return name if len(name.replace("-", "")) > 2 else f"{name}-blobs"

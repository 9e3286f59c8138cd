"""What was found: resources, entry points, and what is not carried. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What replicator can carry."""

    TABLE = "table"
    BUCKET = "bucket"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Resource:
    """One of the account and region that are looked at."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What there is by name. Region and account are those of the functions; buckets have a region each, empty
    where the service does not say. What could not be listed is empty.
    """

    partition: str
    region: str
    account: str
    tables: frozenset[str] = frozenset()
    buckets: Mapping[str, str] = field(default_factory=dict)
    queues: frozenset[str] = frozenset()

    def names(self, kind: Kind) -> frozenset[str]:
        """All of this kind."""
        return {Kind.TABLE: self.tables, Kind.BUCKET: frozenset(self.buckets), Kind.QUEUE: self.queues}[kind]

    def arn(self, resource: Resource) -> str:
        """The ARN of a resource of this account and region."""
        if resource.kind is Kind.BUCKET:
            return f"arn:{self.partition}:s3:::{resource.name}"
        service, prefix = ("dynamodb", "table/") if resource.kind is Kind.TABLE else ("sqs", "")
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{prefix}{resource.name}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as described; `keys` are its key attributes, hash key first. `view_type` is None without a stream."""

    name: str
    keys: tuple[str, ...]
    view_type: str | None
    on_demand: bool
    encryption_key: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket. `own_queue` is the queue that replicator's own entry of its notifications leads to; `notifies` says
    whether there are other entries.
    """

    name: str
    region: str
    own_queue: str | None
    notifies: bool
    encryption_key: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue. `dead_letters` is the ARN of the queue that its redrive policy names."""

    name: str
    fifo: bool
    dead_letters: str | None
    encryption_key: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What lets a function run. `fields` are those of a trigger's config; `resource` is what it comes from, None for
    what is no pipeline's. `arn` is what a policy names; `role` is passed on with a schedule. `off`: it lets nothing run
    now.
    """

    name: str
    fields: Mapping[str, str]
    function: str
    resource: Resource | None
    arn: str
    reason: str
    role: str = ""
    off: bool = False


class Topic(StrEnum):
    """What a line about something that is not covered is about."""

    NOT_LOOKED_AT = "Not looked at"
    UNRESOLVED = "Named in policies and not resolved"
    SERVICES = "Other services in the policies"
    VARIABLES = "Environment variables that look like data stores or secrets"
    ENTRIES = "Other ways in"
    FUNCTIONS = "Settings of the functions"
    RESOURCES = "About tables, buckets and queues"


@dataclass(frozen=True, slots=True)
class NotCovered:
    """A line for people. Never holds the value of an environment variable."""

    topic: Topic
    text: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """All that was found of these functions."""

    catalogue: Catalogue
    functions: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    queues: tuple[Queue, ...] = ()
    entries: tuple[Entry, ...] = ()
    not_covered: tuple[NotCovered, ...] = ()

"""The config file as text, with a comment for each thing that says why it is there. Pure."""

import re
import sys
from collections.abc import Iterator, Mapping

import yaml

from connectors.aws.discovery.model import Bucket, Queue, Table
from connectors.azure.cosmos.mapping import default_path
from connectors.drafting.proposal import APP, Pipeline, Proposal, Trigger

READ_UNITS = 500
"""Of a table that is billed on demand. 500 consistent reads of 4 KB per second."""

FULL_IMAGES = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")

MOST_REASONS = 8

CREATE = "      # create: true # otherwise it must exist; who may create: docs/permissions.md"

Line = str


def config_text(proposal: Proposal, access: Mapping[str, str]) -> str:
    """Valid once its blanks are set in the environment. `access` holds what is said of reaching AWS, each a field."""
    lines = [*_head(proposal), *_triggers(proposal, access), "", "pipelines:"]
    for pipeline in proposal.pipelines:
        lines += ["", *_pipeline(pipeline, access)]
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """A text as YAML has it; what looks like a reference to the environment is kept as it is."""
    text = text.replace("${", "$${")
    plain = PLAIN.fullmatch(text) and yaml.safe_load(text) == text
    return text if plain else quoted(text)


def quoted(text: str) -> str:
    """In quotation marks, on one line, whatever characters there are."""
    dumped: str = yaml.safe_dump(text, default_style='"', width=sys.maxsize)
    return dumped.strip()


def comment(text: str, indent: int = 0) -> Line:
    """One line, whatever is in the text."""
    shown = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return f"{' ' * indent}# {shown}"


def _head(proposal: Proposal) -> Iterator[Line]:
    yield "# Written by `replicator init`; nothing was changed in either cloud. Every field: docs/config.example.yaml"
    yield "#"
    yield "# Set these blanks in the environment, or write the values here:"
    for name, meaning in proposal.blanks.items():
        yield f"#   {name}: {meaning}"
    yield "#"
    yield "# Then: replicator plan, replicator check, replicator run. What is missing here is in not-covered.md."
    yield ""
    yield f"migration: {scalar(proposal.migration)}"
    yield ""


def _triggers(proposal: Proposal, access: Mapping[str, str]) -> Iterator[Line]:
    if not proposal.triggers:
        yield comment("no entry point was found, so there are no triggers: see not-covered.md")
        return
    yield "triggers: # in the order in which they are switched"
    for trigger in proposal.triggers:
        yield from _trigger(trigger, access)


def _trigger(trigger: Trigger, access: Mapping[str, str]) -> Iterator[Line]:
    yield comment(trigger.entry.reason, 2)
    if trigger.entry.off:
        yield comment("it is off now, and a switch would turn its twin on: remove it if it shall stay off", 2)
    yield f"  {scalar(trigger.name)}:"
    if trigger.pipeline:
        yield f"    pipeline: {scalar(trigger.pipeline)} # its target is what the Azure twin reads"
    yield "    aws:"
    for name, value in {**trigger.entry.fields, **access}.items():
        yield f"      {name}: {scalar(value)}"
    yield "    azure:"
    yield "      type: function # or webhook, command, manual: docs/triggers.md"
    yield f"      app: ${{{APP}}}"
    yield f"      function: ${{{trigger.blank}}}"


def _pipeline(pipeline: Pipeline, access: Mapping[str, str]) -> Iterator[Line]:
    source = pipeline.source
    for reason in source.reasons[:MOST_REASONS]:
        yield comment(reason, 2)
    if len(source.reasons) > MOST_REASONS:
        yield comment(f"and {len(source.reasons) - MOST_REASONS} more reasons", 2)
    yield f"  {scalar(pipeline.name)}:"
    if isinstance(source, Table):
        yield from _table(source, pipeline.target, access)
    elif isinstance(source, Bucket):
        yield from _bucket(source, pipeline.target, access)
    else:
        yield from _queue(source, pipeline.target, access)


def _table(table: Table, container: str, access: Mapping[str, str]) -> Iterator[Line]:
    yield "    source:"
    if table.view_type not in FULL_IMAGES:
        how = f"has view type {table.view_type}" if table.view_type else "is off"
        yield comment(f"its stream {how}, and replicator turns on nothing: `replicator plan` shows the command", 6)
    yield "      type: dynamodb"
    yield f"      table: {scalar(table.name)}"
    yield from _access(access)
    if table.on_demand:
        yield f"      max_read_units: {READ_UNITS} # billed on demand: what copying may take per second, to be decided"
    yield "    target:"
    yield "      type: cosmos"
    yield "      endpoint: ${COSMOS_ENDPOINT}"
    yield "      # key: ${COSMOS_KEY} # without one: DefaultAzureCredential"
    yield "      database: ${COSMOS_DATABASE}"
    yield f"      container: {scalar(container)}"
    yield CREATE
    if table.keys:
        yield f"      partition_key: [{_path(table.keys)}] # how the application will ask; it cannot be changed later"
        yield f"      id: [{', '.join(map(scalar, table.keys))}] # all key attributes"
    else:
        yield comment("the table could not be described, so its key attributes are not known: the defaults hold", 6)


def _path(keys: tuple[str, ...]) -> str:
    """Of the hash key, or of the whole key where no path can name that."""
    try:
        path = default_path(keys)
    except ValueError:
        return "/id"
    return quoted(path.replace("${", "$${")) if path.isprintable() else "/id"


def _bucket(bucket: Bucket, container: str, access: Mapping[str, str]) -> Iterator[Line]:
    yield "    source:"
    yield "      type: s3"
    yield f"      bucket: {scalar(bucket.name)}"
    yield from _access({**access, "region": bucket.region})
    if bucket.own_queue:
        yield f"      notifications: {scalar(bucket.own_queue)} # the entry of the bucket's notifications that is ours"
    else:
        yield comment("changes are found by listing alone until a queue of its own is notified of them, see", 6)
        yield comment("docs/connectors/s3-to-blob.md; replicator does not set that up", 6)
        if bucket.notifies:
            yield comment("the bucket notifies others already, and S3 notifies one place of an event: fan out there", 6)
        yield f"      # notifications: {slug_queue(bucket.name)}"
    yield "    target:"
    yield "      type: blob"
    yield "      endpoint: ${BLOB_ENDPOINT}"
    yield "      # key: ${BLOB_KEY} # without one: DefaultAzureCredential"
    yield f"      container: {scalar(container)}"
    yield CREATE


def slug_queue(bucket: str) -> str:
    """A name for the queue of a bucket's notifications."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '-', bucket)[:70]}-events"


def _queue(queue: Queue, target: str, access: Mapping[str, str]) -> Iterator[Line]:
    if queue.fifo:
        yield comment("a FIFO queue: its groups become sessions, and the target must be made with sessions", 4)
    yield "    source:"
    yield "      type: sqs"
    yield f"      queue: {scalar(queue.name)}"
    yield "      consume: hold # only watched: the functions at AWS go on working it until the switch"
    yield from _access(access)
    yield "    target:"
    yield "      type: servicebus"
    yield "      namespace: ${SERVICEBUS_NAMESPACE}"
    yield "      # key: ${SERVICEBUS_KEY} # of key_name; without one: DefaultAzureCredential"
    yield f"      queue: {scalar(target)}"
    yield CREATE
    if queue.fifo:
        yield "      sessions: true"


def _access(access: Mapping[str, str]) -> Iterator[Line]:
    for name, value in access.items():
        yield f"      {name}: {scalar(value)}"

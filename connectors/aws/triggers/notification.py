"""One entry of a bucket's notification configuration, which is a single document without any condition on writing it.

It is read, changed in this entry alone, written, and read again; whatever else has changed meanwhile is told.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import anyio

from connectors.aws.calls import Response
from connectors.aws.clients import open_client
from connectors.aws.s3.sdk import CLIENT_SETTINGS
from connectors.aws.sqs.places import is_same, queue_place
from connectors.aws.triggers.calls import Calls, found
from connectors.aws.triggers.config import NotificationConfig
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.registry import TriggerContext
from replicator.triggers.model import TriggerState

KINDS: Final = ("LambdaFunctionConfigurations", "QueueConfigurations", "TopicConfigurations")

LOOKS: Final = 5
LOOK_PAUSE_S: Final = 0.5
"""A look may show the document as it was a moment ago."""

Document = dict[str, Any]
"""As S3 has it, without what belongs to the answer."""


class NotificationClient(Protocol):
    """What is used of botocore's client of `s3`."""

    async def get_bucket_notification_configuration(self, *_: Any, **parameters: Any) -> Response:
        """The whole document."""

    async def put_bucket_notification_configuration(self, *_: Any, **parameters: Any) -> Response:
        """Replaces it."""


class Notification:
    """See `replicator.ports.Trigger`."""

    def __init__(
        self, client: NotificationClient, config: NotificationConfig, calls: Calls, context: TriggerContext
    ) -> None:
        self._client = client
        self._config = config
        self._calls = calls
        self._sources = context.sources

    async def observe(self) -> TriggerState:
        """What is saved is the entry itself with its place, or null where there is none."""
        placed = entry_of(await self._get(), self._config.id)
        if placed is None:
            return TriggerState(False, True, json.dumps(None), f"bucket {self._config.bucket} has no such entry")
        kind, index, entry = placed
        saved = json.dumps({"kind": kind, "index": index, "entry": entry})
        return TriggerState(True, True, saved, f"bucket {self._config.bucket} notifies {_destination(entry)}")

    async def set_enabled(self, enabled: bool) -> None:
        document = await self._get()
        placed = entry_of(document, self._config.id)
        if enabled and placed is None:
            problem = f"bucket {self._config.bucket} has no entry {self._config.id}, and what it was is not known"
            raise ConfigurationError(self._calls.where, problem, "Make it, or undo the cordon, which has remembered it")
        if not enabled and placed is not None:
            self._require_foreign(placed[2])
            await self._put(without(document, self._config.id))

    async def restore(self, saved: str) -> None:
        remembered = json.loads(saved)
        if remembered is None:
            await self.set_enabled(False)
            return
        document = await self._get()
        placed = entry_of(document, self._config.id)
        if placed is not None and placed[0] == remembered["kind"] and placed[2] == remembered["entry"]:
            return
        cleared = without(document, self._config.id)
        entries = list(cleared.get(remembered["kind"], []))
        entries.insert(remembered["index"], remembered["entry"])
        await self._put({**cleared, remembered["kind"]: entries})

    async def settle(self, enabled: bool) -> None:
        """It was in force when it was taken up."""

    def manual(self, *, enabled: bool) -> str:
        return ""

    async def check(self) -> list[Finding]:
        where = self._calls.where
        placed = entry_of(await self._get(), self._config.id)
        if placed is None:
            message = f"bucket {self._config.bucket} has no entry {self._config.id}"
            return [Finding(Severity.WARNING, where, message, "Name an entry there is, or remove the trigger")]
        try:
            self._require_foreign(placed[2])
        except ConfigurationError as error:
            return [Finding(Severity.ERROR, where, error.problem, error.fix)]
        return found(where, (await self.observe()).detail, untried="s3:PutBucketNotification")

    def _require_foreign(self, entry: Mapping[str, Any]) -> None:
        """Without its own queue replicator would not notice what changes."""
        queue = entry.get("QueueArn")
        if queue and any(is_same(queue_place(queue), source) for source in self._sources):
            problem = "the entry notifies the queue that replicator itself reads"
            raise ConfigurationError(self._calls.where, problem, "Name the entry that notifies the function")

    async def _put(self, wanted: Document) -> None:
        """Destinations are not validated anew: what was there is put back, whatever has become of others meanwhile."""
        await self._calls.sure(
            self._client.put_bucket_notification_configuration,
            Bucket=self._config.bucket,
            NotificationConfiguration=wanted,
            SkipDestinationValidation=True,
        )
        for _ in range(LOOKS):
            if is_equal(await self._get(), wanted):
                return
            await anyio.sleep(LOOK_PAUSE_S)
        problem = (
            f"the notifications of bucket {self._config.bucket} are not as they were written: somebody else has changed"
            " them at the same time"
        )
        raise ConfigurationError(self._calls.where, problem, "Look at all of its entries, and do it again")

    async def _get(self) -> Document:
        answer = await self._calls.sure(self._client.get_bucket_notification_configuration, Bucket=self._config.bucket)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def entry_of(document: Document, name: str) -> tuple[str, int, dict[str, Any]] | None:
    """Kind, place among those of its kind, and the entry. Pure."""
    for kind in KINDS:
        for index, entry in enumerate(document.get(kind, [])):
            if entry.get("Id") == name:
                return kind, index, entry
    return None


def without(document: Document, name: str) -> Document:
    """The same without an entry; a kind that has no other is left out, as the service does. Pure."""
    left = {kind: [e for e in document[kind] if e.get("Id") != name] for kind in KINDS if kind in document}
    others = {name: value for name, value in document.items() if name not in KINDS}
    return {**others, **{kind: entries for kind, entries in left.items() if entries}}


def is_equal(one: Document, other: Document) -> bool:
    """Whether both say the same, in whatever order. Pure."""
    return _ordered(one) == _ordered(other)


def _ordered(document: Document) -> Document:
    return {
        name: sorted((_entry_ordered(e) for e in value), key=lambda e: json.dumps(e, sort_keys=True))
        if name in KINDS
        else value
        for name, value in document.items()
        if value != []
    }


def _entry_ordered(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if name == "Events" else value for name, value in entry.items()}


def _destination(entry: Mapping[str, Any]) -> str:
    return str(next((entry[n] for n in ("LambdaFunctionArn", "QueueArn", "TopicArn") if n in entry), "nobody"))


@asynccontextmanager
async def open_notification(config: NotificationConfig, context: TriggerContext) -> AsyncIterator[Notification]:
    """Closed on leaving."""
    async with open_client("s3", config, context.where, settings=CLIENT_SETTINGS) as client:
        yield Notification(client, config, Calls(context.where), context)

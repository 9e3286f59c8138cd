"""Messages about what happened in a bucket, in all the shapes they come in. Pure.

An event is only a reason to look at its key, whatever kind it is of: creation, removal, expiry, tags, restore,
transition. So versions, sizes and sequencers are not read, and may be missing, and kinds tell only whether somebody
wrote it. Keys are encoded as in a form in the classic shape, and stand as they are in that of EventBridge.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from connectors.aws.s3.ranges import LONGEST_KEY_BYTES

TEST_EVENT = "s3:TestEvent"
"""What S3 sends when a configuration is saved."""

MAJOR_VERSION = "2"
"""Of the classic shape: minor versions add members, another major one may mean something else."""

OF_THE_SERVICE = {
    "LifecycleExpiration", "LifecycleTransition", "IntelligentTiering", "ObjectRestore",
    "Object Storage Class Changed", "Object Access Tier Changed", "Object Restore Initiated",
    "Object Restore Completed", "Object Restore Expired",
}  # fmt: skip
"""What happens without anybody writing an object: kinds of the classic shape, and of EventBridge's."""

EXPIRED = "Lifecycle Expiration"
"""Why EventBridge says that an object was deleted, if nobody did."""


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """Something happened to an object. `at` is when, by S3's clock; None where the message does not say. `by_service`:
    nobody wrote it, its lifecycle did.
    """

    bucket: str
    key: str
    at: datetime | None
    by_service: bool = False


class NoNotificationError(Exception):
    """The message, or a part of it, is none of S3's; what it is instead holds nothing of its text. `read` are the
    events of the rest.
    """

    def __init__(self, what: str, read: Sequence[ObjectEvent] = ()) -> None:
        super().__init__(what)
        self.read = tuple(read)


def read_notification(body: str) -> list[ObjectEvent]:
    """The events of a message; none for a test event. Raises NoNotificationError."""
    told = _object(body)
    if told.get("Type") == "Notification" and isinstance(told.get("Message"), str):
        told = _object(told["Message"])  # SNS has wrapped it, where raw delivery is off
    if "Records" in told:
        return _records(told["Records"])
    if told.get("source") == "aws.s3" and "detail" in told:
        return [_read(_of_eventbridge, told)]
    if told.get("Event") == TEST_EVENT:
        return []
    raise NoNotificationError("no event of S3")


def _records(records: object) -> list[ObjectEvent]:
    if not isinstance(records, list):
        raise NoNotificationError("no list of events")
    events: list[ObjectEvent] = []
    unread: NoNotificationError | None = None
    for record in records:
        try:
            events.append(_read(_classic, record))
        except NoNotificationError as error:
            unread = error
    if unread is not None:
        raise NoNotificationError(str(unread), events) from unread
    return events


def _read(shape: Callable[[Mapping[str, Any]], ObjectEvent], event: Mapping[str, Any]) -> ObjectEvent:
    try:
        return shape(event)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise NoNotificationError(f"an event that cannot be read ({type(error).__name__})") from error


def _object(text: str) -> Mapping[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoNotificationError("no JSON") from error
    if not isinstance(told, dict):
        raise NoNotificationError("no JSON object")
    return told


def _classic(record: Mapping[str, Any]) -> ObjectEvent:
    if not record["eventSource"].endswith(":s3"):
        raise NoNotificationError("an event of another service")
    if str(record.get("eventVersion", MAJOR_VERSION)).partition(".")[0] != MAJOR_VERSION:
        raise NoNotificationError("an event of an unknown version")
    of_s3 = record["s3"]
    key = _text(of_s3["object"]["key"])
    kind = str(record.get("eventName", "")).removeprefix("s3:").partition(":")[0]
    by_service = kind in OF_THE_SERVICE
    return _event(of_s3["bucket"]["name"], unquote_plus(key, errors="strict"), record.get("eventTime"), by_service)


def _of_eventbridge(event: Mapping[str, Any]) -> ObjectEvent:
    detail = event["detail"]
    by_service = detail.get("reason") == EXPIRED or event.get("detail-type") in OF_THE_SERVICE
    return _event(detail["bucket"]["name"], detail["object"]["key"], event.get("time"), by_service)


def _event(bucket: str, key: str, at: str | None, by_service: bool) -> ObjectEvent:
    """Raises ValueError, TypeError where it names nothing that could be an object."""
    if not 1 <= len(_text(key).encode()) <= LONGEST_KEY_BYTES:
        raise ValueError("a key that none can be")
    return ObjectEvent(_text(bucket), key, _instant(at), by_service)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("is no text")
    return value


def _instant(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

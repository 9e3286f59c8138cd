"""Queues as Atom entries, and what a request to create one asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from sandbox.servicebus.broker.errors import ARGUMENT, NOT_IMPLEMENTED, RefusedError
from sandbox.servicebus.broker.settings import QueueSettings
from sandbox.servicebus.http.durations import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandbox.servicebus.broker.queue import Queue

ATOM: Final = "http://www.w3.org/2005/Atom"
CONNECT: Final = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
COUNTS: Final = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
ENTRY_TYPE: Final = "application/atom+xml;type=entry;charset=utf-8"
FEED_TYPE: Final = "application/atom+xml;type=feed;charset=utf-8"
DEFAULT_WINDOW_S: Final = 600.0
MEBIBYTE: Final = 1024 * 1024
_UNSUPPORTED: Final = ("ForwardTo", "ForwardDeadLetteredMessagesTo")
_UNSUPPORTED_IF_TRUE: Final = ("EnablePartitioning", "EnableExpress")


def entry_document(queue: Queue, address: str) -> bytes:
    """One queue."""
    return _document(_entry(queue, address))


def feed_document(queues: Iterable[Queue], address: str, next_page: str | None) -> bytes:
    """Several queues; `next_page` is where more of them are."""
    feed = ET.Element(f"{{{ATOM}}}feed")
    _add(feed, ATOM, "title", "Queues").set("type", "text")
    _add(feed, ATOM, "id", address)
    _add(feed, ATOM, "updated", _instant(datetime.now(UTC).timestamp()))
    _link(feed, "self", address)
    if next_page is not None:
        _link(feed, "next", next_page)
    for queue in queues:
        feed.append(_entry(queue, f"{address.partition('$Resources')[0]}{queue.name}"))
    return _document(feed)


def error_document(status: int, detail: str) -> bytes:
    """What a refused request is told."""
    error = ET.Element("Error")
    ET.SubElement(error, "Code").text = str(status)
    ET.SubElement(error, "Detail").text = detail
    return _document(error)


def parse_description(body: bytes) -> QueueSettings:
    """The settings that a request asks for; what it leaves out has the service's default. Raises RefusedError."""
    try:
        document = ET.fromstring(body)  # noqa: S314 -- from a client of a development tool, on loopback
    except ET.ParseError as error:
        raise RefusedError(ARGUMENT, f"The body is no XML: {error}.") from error
    description = document.find(f".//{{{CONNECT}}}QueueDescription")
    if description is None:
        raise RefusedError(NOT_IMPLEMENTED, "The sandbox creates queues only.")
    given = {child.tag.removeprefix(f"{{{CONNECT}}}"): child.text or "" for child in description}
    wanted = [name for name in _UNSUPPORTED if given.get(name)]
    wanted += [name for name in _UNSUPPORTED_IF_TRUE if given.get(name) == "true"]
    if wanted:
        raise RefusedError(NOT_IMPLEMENTED, f"The sandbox does not know {', '.join(wanted)}.")
    try:
        return _settings(given)
    except ValueError as error:
        raise RefusedError(ARGUMENT, f"The value is not allowed: {error}.") from error


def _settings(given: dict[str, str]) -> QueueSettings:
    default = QueueSettings()

    def read(name: str, of: Callable[[str], float | None], otherwise: float | None) -> float | None:
        return of(given[name]) if given.get(name) else otherwise

    window_s = read("DuplicateDetectionHistoryTimeWindow", parse_duration, DEFAULT_WINDOW_S)
    return QueueSettings(
        sessions=given.get("RequiresSession") == "true",
        duplicate_window_s=window_s if given.get("RequiresDuplicateDetection") == "true" else None,
        lock_s=read("LockDuration", parse_duration, default.lock_s) or 0.0,
        max_delivery_count=int(read("MaxDeliveryCount", int, default.max_delivery_count) or 0),
        time_to_live_s=read("DefaultMessageTimeToLive", parse_duration, None),
        dead_letter_expired=given.get("DeadLetteringOnMessageExpiration") == "true",
        max_message_bytes=int(read("MaxMessageSizeInKilobytes", int, default.max_message_bytes / 1024) or 0) * 1024,
        max_bytes=int(read("MaxSizeInMegabytes", int, default.max_bytes / MEBIBYTE) or 0) * MEBIBYTE,
    )


def _entry(queue: Queue, address: str) -> ET.Element:
    entry = ET.Element(f"{{{ATOM}}}entry")
    _add(entry, ATOM, "id", address)
    _add(entry, ATOM, "title", queue.name).set("type", "text")
    _add(entry, ATOM, "published", _instant(queue.created_at))
    _add(entry, ATOM, "updated", _instant(queue.created_at))
    _add(_add(entry, ATOM, "author", None), ATOM, "name", "sandbox")
    _link(entry, "self", address)
    content = _add(entry, ATOM, "content", None)
    content.set("type", "application/xml")
    _describe(_add(content, CONNECT, "QueueDescription", None), queue)
    return entry


def _describe(description: ET.Element, queue: Queue) -> None:
    """The members in the order in which the service has them, which clients rely on."""
    settings, counts = queue.settings, queue.shelf.count()
    dead = sum(queue.dead_letters.shelf.count().values()) if queue.dead_letters else 0
    active = counts["active"] + counts["deferred"]
    window_s = settings.duplicate_window_s
    members: dict[str, str] = {
        "LockDuration": format_duration(settings.lock_s),
        "MaxSizeInMegabytes": str(settings.max_bytes // MEBIBYTE),
        "RequiresDuplicateDetection": _flag(window_s is not None),
        "RequiresSession": _flag(settings.sessions),
        "DefaultMessageTimeToLive": format_duration(settings.time_to_live_s),
        "DeadLetteringOnMessageExpiration": _flag(settings.dead_letter_expired),
        "DuplicateDetectionHistoryTimeWindow": format_duration(window_s or DEFAULT_WINDOW_S),
        "MaxDeliveryCount": str(settings.max_delivery_count),
        "EnableBatchedOperations": "true",
        "SizeInBytes": str(queue.shelf.bytes),
        "MessageCount": str(active + counts["scheduled"] + dead),
        "IsAnonymousAccessible": "false",
        "Status": "Active",
        "CreatedAt": _instant(queue.created_at),
        "UpdatedAt": _instant(queue.created_at),
        "AccessedAt": _instant(queue.created_at),
        "SupportOrdering": "true",
    }
    for name, text in members.items():
        _add(description, CONNECT, name, text)
    details = _add(description, CONNECT, "CountDetails", None)
    numbers = {"Active": active, "DeadLetter": dead, "Scheduled": counts["scheduled"]}
    for name, number in {**numbers, "TransferDeadLetter": 0, "Transfer": 0}.items():
        _add(details, COUNTS, f"{name}MessageCount", str(number))
    _add(description, CONNECT, "AutoDeleteOnIdle", format_duration(None))
    _add(description, CONNECT, "EnablePartitioning", "false")
    _add(description, CONNECT, "EntityAvailabilityStatus", "Available")
    _add(description, CONNECT, "EnableExpress", "false")
    _add(description, CONNECT, "MaxMessageSizeInKilobytes", str(settings.max_message_bytes // 1024))


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _add(parent: ET.Element, namespace: str, name: str, text: str | None) -> ET.Element:
    child = ET.SubElement(parent, f"{{{namespace}}}{name}")
    child.text = text
    return child


def _link(parent: ET.Element, relation: str, address: str) -> None:
    link = _add(parent, ATOM, "link", None)
    link.set("rel", relation)
    link.set("href", address)


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _document(root: ET.Element) -> bytes:
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))

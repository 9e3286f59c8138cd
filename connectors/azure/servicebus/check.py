"""Findings about a queue. What a run would refuse at once is refused when connecting already."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from connectors.azure.findings import note, ok, placed, warning
from connectors.azure.servicebus.config import LONGEST_WINDOW_S, ServiceBusTargetConfig
from connectors.azure.servicebus.queues import Queue
from replicator.errors import ConfigurationError
from replicator.model import Finding

SHORT_WINDOW_S: Final = 86_400.0
"""A daemon that was down for a night sends again what it did not see confirmed."""

LONGEST_RETENTION: Final = timedelta(days=14)
"""For so long SQS keeps a message at most."""

LARGEST_SOURCE_BYTES: Final = 1_048_576
"""A message of SQS."""

TAKES: Final = frozenset({"Active", "ReceiveDisabled"})
"""The states in which a queue takes messages."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found: all that the findings are made of. `unknown` is why the settings could not be read;
    `ordered_groups` is said of the source.
    """

    config: ServiceBusTargetConfig
    queue: Queue | None
    unknown: str
    max_bytes: int
    ordered_groups: bool = False


def require_order(config: ServiceBusTargetConfig, where: str, *, ordered_groups: bool) -> None:
    """Raises ConfigurationError where each message of the source would be refused for the order of its group."""
    if ordered_groups and not (config.sessions or config.drop_order):
        raise ConfigurationError(
            f"{where}.sessions",
            "the source keeps the order of groups, so without sessions each of its messages would become a dead letter",
            "Name a queue with sessions and set sessions: true, or give order up with drop_order: true",
        )


def require_shape(queue: Queue, config: ServiceBusTargetConfig, where: str) -> None:
    """Raises ConfigurationError for a queue that takes no messages, or not these."""
    if queue.status not in TAKES:
        raise ConfigurationError(
            f"{where}.queue",
            f"queue {config.queue} takes no messages: it is {queue.status}",
            "Set its status to Active",
        )
    if queue.sessions and not config.sessions:
        raise ConfigurationError(
            f"{where}.sessions",
            f"queue {config.queue} takes only messages of a session",
            "Set sessions: true where the source has ordered groups, or name a queue without sessions; a queue cannot "
            "be changed in that",
        )
    if config.sessions and not queue.sessions:
        raise ConfigurationError(
            f"{where}.sessions",
            f"queue {config.queue} was made without sessions, so no order would be kept",
            "Name a queue with sessions, or delete this one and make it anew; a queue cannot be changed in that",
        )


def findings(looked: Looked, where: str) -> list[Finding]:
    """Called once connected, so what exists has the right shape and may be sent to."""
    return placed(_all(looked), where)


def _all(looked: Looked) -> Iterator[Finding]:
    name, queue = looked.config.queue, looked.queue
    if looked.config.drop_order:
        yield warning(
            "the order of groups is given up (drop_order)",
            "Name a queue with sessions if a consumer relies on order",
        )
    if looked.config.sessions and not looked.ordered_groups:
        yield warning(
            "the source is no FIFO queue, and with sessions a message without a group becomes a dead letter",
            "Name a queue without sessions, unless whoever sends gives each message a group",
        )
    if looked.config.access.plain:
        yield note("the connection is not encrypted (UseDevelopmentEmulator=true)")
    if looked.unknown:
        yield ok(f"queue {name} may be sent to; it takes messages up to {looked.max_bytes:,} bytes")
        yield warning(
            f"the settings of queue {name} cannot be read ({looked.unknown}), so nothing is said about its sessions, "
            "duplicate detection and time to live",
            "Let the credentials manage the queue while checking (Azure Service Bus Data Owner, or a key with Manage)",
        )
    elif queue is None:
        yield ok(f"queue {name} is missing and will be created, {_shape(looked.config.sessions)}")
    else:
        yield ok(
            f"queue {name} exists and may be sent to, {_shape(queue.sessions)}; it takes messages up to "
            f"{looked.max_bytes:,} bytes"
        )
        yield from _settings(queue, name)
    yield from _sizes(looked)
    yield note(
        f"whoever reads queue {name} gets each message as soon as it is sent",
        "Keep Azure triggers and other consumers off until the switch",
    )


def _settings(queue: Queue, name: str) -> Iterator[Finding]:
    yield _duplicates(queue, name)
    if queue.time_to_live_s is not None and queue.time_to_live_s < LONGEST_RETENTION.total_seconds():
        fate = "dead-lettered" if queue.dead_letter_expired else "dropped without a trace"
        yield warning(
            f"messages in queue {name} are {fate} after {timedelta(seconds=queue.time_to_live_s)}, and SQS may keep "
            f"them for {LONGEST_RETENTION.days} days",
            "Raise its default time to live to what the source keeps, and let expired messages be dead-lettered",
        )
    if queue.forward_to is not None:
        yield warning(
            f"queue {name} forwards everything to {queue.forward_to}, whose own settings were not looked at",
            "Make sure that it has the same sessions and duplicate detection, or name it as the target",
        )
    if queue.partitioned:
        yield note(f"queue {name} is partitioned: batches hold messages of one session only, and so may be small")
    if queue.messages or queue.dead_letters:
        yield note(
            f"queue {name} already holds {queue.messages} messages, and {queue.dead_letters} dead letters of its own",
            "Make sure that they belong to it",
        )
    yield ok(
        f"a consumer of queue {name} has {queue.lock_s:g} s for a message, renewals aside, and "
        f"{queue.max_delivery_count} attempts before it is dead-lettered there"
    )


def _duplicates(queue: Queue, name: str) -> Finding:
    window_s = queue.duplicate_window_s
    if window_s is None:
        return warning(
            f"queue {name} does not detect duplicates, so a message that was sent twice arrives twice",
            "Make the queue anew with duplicate detection, which cannot be switched on later, if consumers do not "
            "tell duplicates themselves",
        )
    window = timedelta(seconds=window_s)
    if window_s < SHORT_WINDOW_S:
        return warning(
            f"queue {name} remembers message ids for {window}: what is sent again later, after the daemon was down, "
            "arrives twice",
            f"Raise the window; up to {LONGEST_WINDOW_S / 86_400:g} days are possible",
        )
    return ok(f"queue {name} drops messages that are sent again within {window}")


def _sizes(looked: Looked) -> Iterator[Finding]:
    limit = f"messages above {looked.max_bytes:,} bytes"
    if looked.config.claim_check is not None:
        yield ok(f"the bodies of {limit} go to container {looked.config.claim_check.container}")
    elif looked.max_bytes <= LARGEST_SOURCE_BYTES:
        yield note(
            f"{limit}, properties included, become dead letters; SQS takes {LARGEST_SOURCE_BYTES:,}",
            "Set oversize: claim_check if there may be such messages, or let a Premium queue take larger ones",
        )


def _shape(sessions: bool) -> str:
    return "with sessions for ordered groups" if sessions else "without sessions"

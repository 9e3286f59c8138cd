"""Which queue it is, however a config names it, so that no two pipelines take from one. Pure; loads no SDK."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from replicator.errors import ConfigurationError

SERVICE: Final = "sqs"
ACCOUNT_DIGITS: Final = 12


def queue_name(text: str) -> str:
    """The name in a queue's name, ARN or URL."""
    if "://" in text:
        return urlsplit(text).path.rpartition("/")[2]
    return text.rpartition(":")[2]


def queue_region(text: str) -> str:
    """The region in a queue's ARN or URL, empty where it tells none."""
    if "://" in text:
        labels = (urlsplit(text).hostname or "").split(".")
        return labels[1] if labels[0] == SERVICE and len(labels) > 2 else ""
    parts = text.split(":")
    return parts[3] if len(parts) == 6 else ""


def queue_account(text: str) -> str:
    """The account in a queue's ARN or URL, empty where it tells none."""
    parts = urlsplit(text).path.split("/")[1:] if "://" in text else text.split(":")[4:]
    return parts[0] if len(parts) == 2 and len(parts[0]) == ACCOUNT_DIGITS and parts[0].isdigit() else ""


def queue_place(text: str, region: str | None = None) -> tuple[str, ...]:
    """Where the queue of this name, ARN or URL is; parts are empty where only the environment knows them."""
    return (SERVICE, queue_region(text) or region or "", queue_account(text), queue_name(text))


def is_same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two places are, or may be, the same queue: a region or account that is not told may be any."""
    return (
        len(one) == len(other) == 4
        and (one[0], one[3]) == (other[0], other[3])
        and all(a == b or not (a and b) for a, b in zip(one[1:3], other[1:3], strict=True))
    )


def require_unshared(place: tuple[str, ...], siblings: Iterable[tuple[str, ...]], where: str) -> None:
    """Raises ConfigurationError where another pipeline takes from this queue: each would delete what the other one
    needs.
    """
    if any(is_same(place, sibling) for sibling in siblings):
        raise ConfigurationError(
            where,
            "another pipeline takes from this queue",
            "Give each a queue of its own: SNS can fan out. Where they are queues of two accounts or regions, name "
            "them by ARN",
        )

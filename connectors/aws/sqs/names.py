"""What a queue's name, ARN or URL says. Configs are read by it, before any SDK is loaded."""

from urllib.parse import urlsplit


def queue_name(text: str) -> str:
    """The name in a queue's name, ARN or URL."""
    if "://" in text:
        return urlsplit(text).path.rpartition("/")[2]
    return text.rpartition(":")[2]


def queue_region(text: str) -> str:
    """The region in a queue's ARN or URL, empty where it tells none."""
    if "://" in text:
        labels = (urlsplit(text).hostname or "").split(".")
        return labels[1] if labels[0] == "sqs" and len(labels) > 2 else ""
    parts = text.split(":")
    return parts[3] if len(parts) == 6 else ""

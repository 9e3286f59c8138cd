"""What Microsoft's Service Bus emulator reads when it starts: the queues of its namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.servicebus import QueueSettings

NAMESPACE = "sbemulatorns"
"""The only name that the emulator takes."""

MOST_TO_LIVE_S = 3_600.0
"""No longer is allowed by the emulator."""


def config(queues: Mapping[str, QueueSettings]) -> dict[str, Any]:
    """What the emulator is told: these queues, within what it can; it knows no quotas and does not throttle."""
    namespace = {"Name": NAMESPACE, "Queues": [_queue(name, settings) for name, settings in queues.items()]}
    return {"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}}


def _queue(name: str, settings: QueueSettings) -> dict[str, Any]:
    window_s = settings.duplicate_window_s
    properties = {
        "LockDuration": _iso(settings.lock_s),
        "MaxDeliveryCount": settings.max_delivery_count,
        "RequiresSession": settings.sessions,
        "RequiresDuplicateDetection": window_s is not None,
        "DeadLetteringOnMessageExpiration": settings.dead_letter_expired,
        "DefaultMessageTimeToLive": _iso(min(settings.time_to_live_s or MOST_TO_LIVE_S, MOST_TO_LIVE_S)),
    }
    if window_s is not None:
        properties["DuplicateDetectionHistoryTimeWindow"] = _iso(window_s)
    return {"Name": name, "Properties": properties}


def _iso(seconds: float) -> str:
    """As ISO 8601 writes a duration."""
    return f"PT{seconds:g}S"

"""What the broker answers when it refuses something: the service's conditions and status codes."""

from __future__ import annotations

from typing import Final

NOT_FOUND: Final = "amqp:not-found"
NOT_ALLOWED: Final = "amqp:not-allowed"
NOT_IMPLEMENTED: Final = "amqp:not-implemented"
UNAUTHORIZED: Final = "amqp:unauthorized-access"
DECODE_ERROR: Final = "amqp:decode-error"
FULL: Final = "amqp:resource-limit-exceeded"
TOO_LARGE: Final = "amqp:link:message-size-exceeded"
FORCED: Final = "amqp:link:detach-forced"
BUSY: Final = "com.microsoft:server-busy"
TIMEOUT: Final = "com.microsoft:timeout"
ARGUMENT: Final = "com.microsoft:argument-error"
MESSAGE_LOCK_LOST: Final = "com.microsoft:message-lock-lost"
MESSAGE_NOT_FOUND: Final = "com.microsoft:message-not-found"
SESSION_LOCK_LOST: Final = "com.microsoft:session-lock-lost"
SESSION_TAKEN: Final = "com.microsoft:session-cannot-be-locked"
EXISTS: Final = "com.microsoft:entity-already-exists"

STATUS: Final[dict[str, int]] = {
    NOT_FOUND: 404,
    NOT_ALLOWED: 400,
    NOT_IMPLEMENTED: 501,
    UNAUTHORIZED: 401,
    DECODE_ERROR: 400,
    FULL: 403,
    TOO_LARGE: 400,
    BUSY: 503,
    TIMEOUT: 408,
    ARGUMENT: 400,
    MESSAGE_LOCK_LOST: 410,
    MESSAGE_NOT_FOUND: 404,
    SESSION_LOCK_LOST: 410,
    SESSION_TAKEN: 409,
    EXISTS: 409,
}
"""The status code of a management answer by condition; 500 for any other."""


class RefusedError(Exception):
    """Something the service would refuse, with its condition."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description

    @property
    def status(self) -> int:
        """As HTTP and management answers say it."""
        return STATUS.get(self.condition, 500)

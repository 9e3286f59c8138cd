"""What the server answers when it refuses a request."""

from __future__ import annotations

import json


class CosmosError(Exception):
    """A refusal with the service's status and sub status; becomes the HTTP answer as it is.

    `retry_after_ms` is sent as `x-ms-retry-after-ms`. `extra` members go into the JSON error body
    (the service uses one of them to hand a query plan back).
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        substatus: int | None = None,
        retry_after_ms: int | None = None,
        extra: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.substatus = substatus
        self.retry_after_ms = retry_after_ms
        self.extra = extra or {}

    def body(self) -> bytes:
        """The JSON error document of the service: a code word and a message."""
        code = CODES.get(self.status, "Error")
        return json.dumps({"code": code, "message": self.message, **self.extra}).encode()


CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    424: "FailedDependency",
    429: "429",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


def bad_request(message: str, substatus: int | None = None) -> CosmosError:
    """400: the request can never succeed as it is."""
    return CosmosError(400, message, substatus=substatus)


def not_found(what: str) -> CosmosError:
    """404 for a database, container or item."""
    return CosmosError(404, f"Entity with the specified id does not exist in the system: {what}")


def conflict(what: str) -> CosmosError:
    """409 for an id that is taken."""
    return CosmosError(409, f"Entity with the specified id already exists in the system: {what}")


def precondition_failed() -> CosmosError:
    """412: If-Match or a patch condition did not hold."""
    return CosmosError(412, "One of the specified pre-condition is not met.")

"""Errors of the Service Bus SDK in the engine's words, translated once, at the edge.

server-busy                                    ThrottledError
too large, not allowed, argument errors, …     MessageRefusal, for the caller to act on
unauthorized, a token that is not accepted     AccessError, surely without effect
queue missing, disabled or full                TransientError, surely without effect
anything while a link was being opened         UnreachableError or UntrustedError, surely without effect
everything else                                AmbiguousError: a lost connection, no answer, an internal error
"""

import re
from typing import Final

from azure.core.exceptions import ClientAuthenticationError
from azure.servicebus import exceptions

from connectors.azure.errors import UntrustedError
from replicator.errors import AccessError, AmbiguousError, ThrottledError, TransientError, UnreachableError

BUSY: Final = "com.microsoft:server-busy"
TOO_LARGE: Final = "amqp:link:message-size-exceeded"
MISSING: Final = "amqp:not-found"
FULL: Final = "amqp:resource-limit-exceeded"
DISABLED: Final = "com.microsoft:entity-disabled"

ACCESS: Final = frozenset({"amqp:unauthorized-access", "com.microsoft:auth-failed"})

REFUSALS: Final = frozenset(
    {
        TOO_LARGE,
        "amqp:not-allowed",
        "amqp:decode-error",
        "amqp:invalid-field",
        "amqp:not-implemented",
        "amqp:precondition-failed",
        "com.microsoft:argument-error",
        "com.microsoft:argument-out-of-range",
    }
)
"""What the service answers to a message that it will never take as it is."""

CONDITIONS: Final[dict[type[Exception], str]] = {
    exceptions.ServiceBusServerBusyError: BUSY,
    exceptions.MessageSizeExceededError: TOO_LARGE,
    exceptions.MessagingEntityNotFoundError: MISSING,
    exceptions.MessagingEntityDisabledError: DISABLED,
    exceptions.ServiceBusQuotaExceededError: FULL,
    exceptions.ServiceBusAuthenticationError: "com.microsoft:auth-failed",
    exceptions.ServiceBusAuthorizationError: "amqp:unauthorized-access",
}

WAIT: Final = re.compile(r"\bwait (\d{1,3}) seconds", re.IGNORECASE)
CERTIFICATE: Final = re.compile(r"CERTIFICATE_VERIFY_FAILED\] certificate verify failed: ([^(]*)")


class MessageRefusal(Exception):  # noqa: N818 — not a fault but an answer
    """The service had not taken a message, or any of a batch, and never will. `too_large` says that size is why."""

    def __init__(self, text: str, *, too_large: bool = False) -> None:
        super().__init__(text)
        self.too_large = too_large


class QueueMissingError(TransientError):
    """There is no queue of that name. It may be made while we wait."""


def translate(error: Exception, detached_by: str | None = None) -> Exception:
    """What became of a message that was being sent.

    `detached_by` is the condition with which the service has ended the link meanwhile, which the SDK does not tell.
    """
    return _of_condition(detached_by or condition(error), _text(error)) or AmbiguousError(_text(error))


def translate_opening(error: Exception) -> Exception:
    """What kept a link from being opened. Nothing was sent, so nothing is in doubt."""
    text = _text(error)
    if isinstance(getattr(error, "inner_exception", None), ClientAuthenticationError):
        return AccessError(text)
    if found := CERTIFICATE.search(str(error)):
        return UntrustedError(f"the certificate of the endpoint is not accepted ({found[1].strip()})")
    known = _of_condition(condition(error), text)
    return known if isinstance(known, TransientError) else UnreachableError(text)


def condition(error: Exception) -> str | None:
    """The AMQP condition behind an error, where the SDK tells it in one way or another."""
    for kind, name in CONDITIONS.items():
        if isinstance(error, kind):
            return name
    found = getattr(error, "_condition", None)
    return found if isinstance(found, str) else None


def _of_condition(name: str | None, text: str) -> Exception | None:
    """What a condition surely means; None where it leaves a doubt."""
    if name == BUSY:
        asked = WAIT.search(text)
        return ThrottledError(text, retry_after_s=float(asked[1]) if asked else None)
    if name in REFUSALS:
        return MessageRefusal(text, too_large=name == TOO_LARGE)
    if name in ACCESS:
        return AccessError(text)
    if name == MISSING:
        return QueueMissingError(text)
    return TransientError(text) if name in {FULL, DISABLED} else None


def _text(error: Exception) -> str:
    """The service's texts go on with tracking ids; the first line says what is wrong."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__

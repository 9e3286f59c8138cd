"""Azure SDK errors in the engine's words, translated once, at the edge.

429, a storage account that is busy            ThrottledError
449, 410, a failover, a session not there yet  TransientError: surely without effect
no connection made                             UnreachableError, one of these
a certificate that is not accepted             UntrustedError, one of those
401, 403, 407, no credentials                  AccessError, surely without effect too
400, 404, 409, 412, 413, 424, a full partition AzureRefusal, for the caller to act on
everything else                                AmbiguousError: 408, 5xx, a connection lost, no answer, and whatever does
                                               not come from the service, such as a proxy's page
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import aiohttp
from azure.core import exceptions
from azure.cosmos.exceptions import CosmosBatchOperationError

from replicator.errors import (
    AccessError,
    AmbiguousError,
    ConfigurationError,
    ThrottledError,
    TransientError,
    UnreachableError,
    cannot_be_reached,
)

RETRY_AFTER_MS_HEADER = "x-ms-retry-after-ms"
RETRY_AFTER_HEADER = "retry-after"
SUB_STATUS_HEADER = "x-ms-substatus"
CODE_HEADER = "x-ms-error-code"

REFUSALS = frozenset({400, 404, 409, 412, 413, 424})
"""What the service answers to a request that it will never take as it is."""

PARTITION_FULL = (403, 1014)
"""A logical partition holds 20 GB, and takes no more."""

PASSING = frozenset({(403, 3), (403, 1008), (404, 1002)})
"""The write region is changing; or no replica has caught up yet with what this session has seen."""

BUSY = "ServerBusy"
"""A storage account answers so, with 503, to what is too much for it."""

COPY_REFUSALS = frozenset({"CannotVerifyCopySource", "APINotImplemented"})
"""The service cannot fetch bytes from elsewhere; with whatever status it was answered there itself."""

NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)
"""The second: the proxy would not open a tunnel."""

SDK_ERRORS = (exceptions.AzureError, aiohttp.ClientError, OSError)

CREDENTIALS_FIX = (
    "Give a key that may write, or a role by DefaultAzureCredential, and set the clock right; see docs/permissions.md"
)


TRUST_FIX = (
    "Name a PEM file with the authority that has signed it, and write the endpoint's name as the certificate does"
)


class AzureRefusal(Exception):  # noqa: N818 — not a fault but an answer
    """A definite answer of the service, told by its status, and by a code where the service gives one."""

    def __init__(self, status: int, sub_status: int, message: str, code: str = "") -> None:
        super().__init__(f"status {status}/{code or sub_status}: {message}")
        self.status = status
        self.sub_status = sub_status
        self.code = code
        self.message = message


class OwnerMissingError(TransientError):
    """Somebody has deleted the container; it may be made again while we wait."""

    def __init__(self, message: str, sub_status: int = 0) -> None:
        super().__init__(message)
        self.sub_status = sub_status


class UntrustedError(UnreachableError):
    """Whoever answers at the endpoint has a certificate that is not accepted."""


def translate(error: Exception) -> Exception:
    """The engine's error for one of the SDK's; other exceptions are given back as they are."""
    if isinstance(error, exceptions.HttpResponseError) and answer_headers(error).get(CODE_HEADER) in COPY_REFUSALS:
        return _translate_answer(error)
    if isinstance(error, exceptions.ClientAuthenticationError):
        return AccessError(_first_line(error))
    if isinstance(error, exceptions.HttpResponseError):
        return _translate_answer(error)
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return UntrustedError(_why_untrusted(cause.certificate_error))
    if isinstance(cause, NEVER_SENT) or isinstance(error, exceptions.ServiceRequestTimeoutError):
        return UnreachableError(_first_line(error))
    if isinstance(error, SDK_ERRORS):
        return AmbiguousError(_first_line(error))
    return error


def _translate_answer(error: exceptions.HttpResponseError) -> Exception:
    headers = answer_headers(error)
    status, sub_status = error.status_code or 0, int(_number(headers.get(SUB_STATUS_HEADER)) or 0)
    code = headers.get(CODE_HEADER, "")
    text = f"status {status}/{code or sub_status}"
    retry_after_s = _retry_after_s(headers)
    if code in COPY_REFUSALS:
        return AzureRefusal(status, sub_status, _first_line(error), code)
    if status == 429 or (status, code) == (503, BUSY):
        return ThrottledError(text, retry_after_s=retry_after_s)
    if status in {410, 449} or (status, sub_status) in PASSING:
        return TransientError(text, retry_after_s=retry_after_s)
    if (status, sub_status) == PARTITION_FULL:
        return AzureRefusal(status, sub_status, _first_line(error))
    if status in {401, 403, 407}:
        return AccessError(f"{text}: {_first_line(error)}")
    if not from_service(headers):
        return AmbiguousError(f"{text} from something that is not the service")
    if status in REFUSALS and not isinstance(error, exceptions.DecodeError):
        return AzureRefusal(status, sub_status, _first_line(error), code)
    return AmbiguousError(text, retry_after_s=retry_after_s)


def answer_headers(error: exceptions.HttpResponseError) -> dict[str, str]:
    """The headers of the answer behind an error, names in lower case."""
    headers = getattr(error, "headers", None) or getattr(error.response, "headers", None)
    return {str(name).lower(): str(value) for name, value in dict(headers or {}).items()}


def from_service(headers: Iterable[str]) -> bool:
    """Whether an answer with these headers comes from an Azure service and not from something on the way."""
    return any(name.lower().startswith("x-ms-") for name in headers)


def is_batch_failure(error: Exception) -> bool:
    """Whether a transactional batch was refused because of one of its operations."""
    return isinstance(error, CosmosBatchOperationError)


def configuration_error(where: str, error: Exception) -> ConfigurationError:
    """What an operator is told when a target cannot even be looked at."""
    if isinstance(error, AccessError):
        return ConfigurationError(where, str(error), CREDENTIALS_FIX)
    if isinstance(error, UntrustedError):
        return ConfigurationError(f"{where}.ca_bundle", str(error), TRUST_FIX)
    if isinstance(error, AzureRefusal):
        return ConfigurationError(where, str(error), "Check the endpoint and the names beside it")
    return cannot_be_reached(where, error, check="endpoint")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """In milliseconds or seconds, by the service; a date, which HTTP knows too, none of them gives."""
    after_ms = _number(headers.get(RETRY_AFTER_MS_HEADER))
    return _number(headers.get(RETRY_AFTER_HEADER)) if after_ms is None else after_ms / 1000


def _number(text: str | None) -> float | None:
    with suppress(TypeError, ValueError):
        return float(text or "")
    return None


def _why_untrusted(error: Exception) -> str:
    reason = getattr(error, "verify_message", "") or str(error)
    return f"the certificate of the endpoint is not accepted ({reason.rstrip('.')})"


def _first_line(error: Exception) -> str:
    """Answers of the service go on with activity ids and echoes; the first line says what is wrong."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__

"""Azure SDK errors in the engine's words, translated once, at the edge.

429                                            ThrottledError, with the wish of x-ms-retry-after-ms
449, 410, connection never made                TransientError: surely without effect
a certificate that is not accepted             UntrustedError, one of these
408, 5xx, connection lost, no answer           AmbiguousError
401, 403, no credentials                       AccessError
everything else                                AzureRefusal, for the caller to act on
"""

import aiohttp
from azure.core import exceptions
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosClientTimeoutError

from replicator.errors import AmbiguousError, ConfigurationError, ThrottledError, TransientError

RETRY_AFTER_HEADER = "x-ms-retry-after-ms"
SUB_STATUS_HEADER = "x-ms-substatus"

CREDENTIALS_FIX = "Give a key or a role by DefaultAzureCredential; see docs/permissions.md for the roles"


TRUST_FIX = (
    "Name a PEM file with the authority that has signed it, and write the endpoint's name as the certificate does"
)


class AzureRefusal(Exception):  # noqa: N818 — not a fault but an answer
    """A definite answer of the service, told by its status."""

    def __init__(self, status: int, sub_status: int, message: str) -> None:
        super().__init__(f"status {status}/{sub_status}: {message}")
        self.status = status
        self.sub_status = sub_status
        self.message = message


class AccessError(TransientError):
    """Credentials are missing or not allowed to do this. They may be mended while we wait."""


class UnreachableError(TransientError):
    """No connection to the service."""


class UntrustedError(UnreachableError):
    """Whoever answers at the endpoint has a certificate that is not accepted."""


def translate(error: Exception) -> Exception:
    """The engine's error for one of the SDK's; other exceptions are given back as they are."""
    if isinstance(error, exceptions.ClientAuthenticationError):
        return AccessError(_first_line(error))
    if isinstance(error, exceptions.HttpResponseError):
        return _translate_answer(error)
    if isinstance(error.__cause__, aiohttp.ClientConnectorCertificateError):
        return UntrustedError(_why_untrusted(error.__cause__.certificate_error))
    if isinstance(error, exceptions.ServiceRequestTimeoutError) or _never_connected(error):
        return UnreachableError(_first_line(error))
    if isinstance(error, exceptions.AzureError | CosmosClientTimeoutError | aiohttp.ClientError | OSError):
        return AmbiguousError(_first_line(error))
    return error


def _translate_answer(error: exceptions.HttpResponseError) -> Exception:
    status = error.status_code or 0
    headers = answer_headers(error)
    sub_status = int(headers.get(SUB_STATUS_HEADER) or 0)
    text = f"status {status}/{sub_status}"
    if status == 429:
        return ThrottledError(text, retry_after_s=float(headers.get(RETRY_AFTER_HEADER) or 0) / 1000)
    if status in {401, 403}:
        return AccessError(f"{text}: {_first_line(error)}")
    if status in {410, 449}:
        return TransientError(text)
    if status == 408 or status >= 500 or status == 0:
        return AmbiguousError(text)
    return AzureRefusal(status, sub_status, _first_line(error))


def answer_headers(error: exceptions.HttpResponseError) -> dict[str, str]:
    """The headers of the answer behind an error, names in lower case."""
    headers = getattr(error, "headers", None) or getattr(error.response, "headers", None)
    return {str(name).lower(): str(value) for name, value in dict(headers or {}).items()}


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
        return ConfigurationError(where, str(error), "Check endpoint, database and container")
    return ConfigurationError(
        where, f"cannot be reached ({error})", "Check endpoint, proxy and the network, then start again"
    )


def _never_connected(error: Exception) -> bool:
    return isinstance(error, exceptions.ServiceRequestError) and isinstance(
        error.__cause__, aiohttp.ClientConnectorError
    )


def _why_untrusted(error: Exception) -> str:
    reason = getattr(error, "verify_message", "") or str(error)
    return f"the certificate of the endpoint is not accepted ({reason.rstrip('.')})"


def _first_line(error: Exception) -> str:
    """Answers of the service go on with activity ids and echoes; the first line says what is wrong."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__

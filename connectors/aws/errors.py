"""AWS errors in the engine's words, translated once, at the edge.

throttling codes                               ThrottledError
5xx, timeouts, lost or refused connections     TransientError
answers cut short or damaged on the way        TransientError
credentials, permissions, encryption keys      TransientError while running (they may be mended),
                                               ConfigurationError at the start
everything else                                AwsRefusal, for the caller to act on
"""

import asyncio
import re

from aiohttp import ClientResponseError
from botocore import exceptions
from botocore.parsers import ResponseParserError

from replicator.errors import (
    AccessError,
    ConfigurationError,
    ThrottledError,
    TransientError,
    UnreachableError,
    cannot_be_reached,
)

THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestThrottled",
        "SlowDown",
        "OverLimit",
        "KMS.ThrottlingException",
        "KmsThrottled",
    }
)

ACCESS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "UnrecognizedClientException",
        "KMS.AccessDeniedException",
        "KMS.DisabledException",
        "KMS.InvalidKeyUsageException",
        "KMS.InvalidStateException",
        "KMS.NotFoundException",
        "KMS.OptInRequired",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsInvalidKeyUsage",
        "KmsInvalidState",
        "KmsNotFound",
        "KmsOptInRequired",
    }
)

CREDENTIAL_ERRORS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.MetadataRetrievalError,
    exceptions.LoginError,
    exceptions.SSOError,
    exceptions.ProfileNotFound,
)

CONNECTION_ERRORS = (exceptions.HTTPClientError, exceptions.ConnectionError, OSError, asyncio.TimeoutError)

DAMAGED_ANSWERS = (
    exceptions.IncompleteReadError,
    exceptions.ChecksumError,
    exceptions.FlexibleChecksumError,
    ResponseParserError,
)

ADDRESS = re.compile(r"(https?://[^/?\s'\"]+)[^\s'\"]*")
"""A URL; what comes behind its host is no part of the group."""

CREDENTIALS_FIX = "Give credentials by the environment, a profile or a role, and see docs/permissions.md for the policy"


class AwsRefusal(Exception):  # noqa: N818 — not a fault but an answer
    """A definite answer of the service, told by its code."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.operation = operation
        self.code = code
        self.message = message


class UnreadableAnswerError(TransientError):
    """The client cannot read the head of an answer: more headers, or longer ones, than it takes."""


def translate(operation: str, error: Exception) -> Exception:
    """The engine's error for one of botocore's or of the connection."""
    if isinstance(error, exceptions.ClientError):
        return _translate_answer(operation, error)
    if isinstance(error, CREDENTIAL_ERRORS):
        return AccessError(f"{operation}: {error}")
    if isinstance(error, DAMAGED_ANSWERS):
        return TransientError(f"{operation}: {type(error).__name__}")
    if isinstance(error, exceptions.HTTPClientError) and isinstance(error.kwargs.get("error"), ClientResponseError):
        return UnreadableAnswerError(f"{operation}: the head of the answer cannot be read")
    if isinstance(error, CONNECTION_ERRORS):
        return UnreachableError(f"{operation}: {_without_paths(str(error)) or type(error).__name__}")
    return error


def _without_paths(text: str) -> str:
    """An address that was called may name a record behind its host."""
    return ADDRESS.sub(r"\1", text)


def _translate_answer(operation: str, error: exceptions.ClientError) -> Exception:
    """Keeps the first line of a message only: what follows in a refused signature's shows the session token."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", "")).partition("\n")[0]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{operation}: {code}"
    if code in THROTTLES or status == 429:
        return ThrottledError(text)
    if code in ACCESS or status in {401, 403, 407}:
        return AccessError(f"{text}: {message}")
    if status >= 500 or code in {"InternalServerError", "ServiceUnavailable", "RequestTimeout"}:
        return TransientError(text)
    if not code[:1].isalpha():  # a status for want of a code: not the service has answered but something before it
        return TransientError(f"{text}: {message} (from something that is not the service)")
    return AwsRefusal(operation, code, message)


def configuration_error(where: str, error: Exception) -> ConfigurationError:
    """What an operator is told when a source cannot even be looked at."""
    if isinstance(error, ConfigurationError):
        return error
    if isinstance(error, exceptions.NoRegionError):
        return ConfigurationError(f"{where}.region", "is not known", "Set it here, or AWS_DEFAULT_REGION")
    if isinstance(error, ValueError):
        return ConfigurationError(f"{where}.endpoint", str(error), "Give an address like https://host:port")
    if isinstance(error, AccessError | exceptions.BotoCoreError):
        return ConfigurationError(where, str(error), CREDENTIALS_FIX)
    if isinstance(error, UnreachableError):
        return cannot_be_reached(where, error, check="region, endpoint")
    return ConfigurationError(where, str(error), "Start again when the service answers")

"""Every error of the Azure SDK that can be met has a counterpart, and only the service itself can refuse for good."""

import inspect
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import azure.identity
import pytest
from azure.core import exceptions as core
from azure.core.exceptions import AzureError, HttpResponseError
from azure.cosmos import exceptions as cosmos
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError
from yarl import URL

from connectors.azure.errors import (
    AzureRefusal,
    UntrustedError,
    configuration_error,
    is_batch_failure,
    translate,
)
from replicator.errors import (
    AccessError,
    AmbiguousError,
    ReplicatorError,
    ThrottledError,
    TransientError,
    UnreachableError,
)

SERVICE = {"x-ms-activity-id": "a"}
"""By which an answer of the service is known."""

HOST: Any = SimpleNamespace(host="shop.example", port=443, ssl=True, is_ssl=True)


def sdk_errors() -> list[type[AzureError]]:
    """All there are in the SDKs installed."""
    found = [c for module in (core, cosmos, azure.identity) for c in vars(module).values() if inspect.isclass(c)]
    return sorted({c for c in found if issubclass(c, AzureError)}, key=lambda c: f"{c.__module__}.{c.__name__}")


def made(kind: type[AzureError]) -> AzureError:
    """One of that class, however it is made."""
    if kind is CosmosBatchOperationError:
        return batch_failure(409)
    if issubclass(kind, CosmosHttpResponseError):
        return answer(409, kind=kind)
    takes_response = next(iter(inspect.signature(kind).parameters)) == "response"
    return kind(_response(409, SERVICE) if takes_response else "text")


def answer(
    status: int, sub_status: int = 0, kind: Callable[..., Any] = CosmosHttpResponseError, retry_after_ms: str = ""
) -> CosmosHttpResponseError:
    """The SDK's error for an answer of the service."""
    headers = {**SERVICE, "x-ms-substatus": str(sub_status), "x-ms-retry-after-ms": retry_after_ms}
    given = {name: value for name, value in headers.items() if value not in {"", "0"}}
    made: CosmosHttpResponseError = kind(message="text", response=_response(status, given))
    return made


def batch_failure(status: int) -> CosmosBatchOperationError:
    """The SDK's error for a transactional batch, one of whose operations was refused."""
    kind: Callable[..., Any] = CosmosBatchOperationError
    made: CosmosBatchOperationError = kind(error_index=1, headers=SERVICE, status_code=status, message="text")
    return made


def of_a_stranger(status: int) -> CosmosHttpResponseError:
    """The SDK's error for an answer of something on the way."""
    made: Callable[..., Any] = CosmosHttpResponseError
    error: CosmosHttpResponseError = made(message="<html>", response=_response(status, {"Server": "proxy"}))
    return error


def _response(status: int, headers: dict[str, str]) -> Any:
    return SimpleNamespace(
        status_code=status, headers=headers, reason="", content_type="text/html", request="", text=lambda *_: ""
    )


def caused(kind: type[AzureError], cause: BaseException) -> AzureError:
    """As the SDK's transport raises it."""
    error = kind(cause, error=cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("kind", sdk_errors(), ids=lambda c: c.__name__)
def test_every_error_of_the_sdk_has_a_counterpart(kind: type[AzureError]) -> None:
    """A new one in a newer SDK has one too, or fails here until somebody has decided about it."""
    translated = translate(made(kind))
    assert isinstance(translated, ReplicatorError | AzureRefusal)


def test_all_of_the_sdk_is_looked_at() -> None:
    names = {kind.__name__ for kind in sdk_errors()}
    assert {"CosmosClientTimeoutError", "CosmosBatchOperationError", "DecodeError", "IncompleteReadError"} <= names
    assert {"ServiceRequestError", "ServiceResponseTimeoutError", "CredentialUnavailableError"} <= names


@pytest.mark.parametrize(
    ("status", "sub_status", "kind"),
    [
        (400, 0, AzureRefusal),
        (401, 0, AccessError),
        (403, 0, AccessError),
        (403, 5300, AccessError),
        (403, 3, TransientError),
        (403, 1008, TransientError),
        (403, 1014, AzureRefusal),
        (404, 0, AzureRefusal),
        (404, 1002, TransientError),
        (404, 1003, AzureRefusal),
        (407, 0, AccessError),
        (408, 0, AmbiguousError),
        (409, 0, AzureRefusal),
        (410, 0, TransientError),
        (410, 1002, TransientError),
        (412, 0, AzureRefusal),
        (413, 0, AzureRefusal),
        (424, 0, AzureRefusal),
        (429, 3200, ThrottledError),
        (449, 0, TransientError),
        (500, 0, AmbiguousError),
        (502, 0, AmbiguousError),
        (503, 0, AmbiguousError),
        (504, 0, AmbiguousError),
    ],
)
def test_answers(status: int, sub_status: int, kind: type[Exception]) -> None:
    assert type(translate(answer(status, sub_status))) is kind


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 405, 409, 412, 413, 418, 431, 451, 500, 503])
def test_what_does_not_come_from_the_service_refuses_nothing(status: int) -> None:
    """A record must not become a dead letter, nor count as deleted, because of a proxy's page."""
    assert type(translate(of_a_stranger(status))) is AmbiguousError


@pytest.mark.parametrize("status", [405, 418, 431])
def test_what_the_service_is_not_known_to_answer_is_no_refusal(status: int) -> None:
    assert type(translate(answer(status))) is AmbiguousError


@pytest.mark.parametrize("status", [200, 201, 204, 302])
def test_an_answer_that_cannot_be_read_tells_nothing(status: int) -> None:
    """The write may well have been done."""
    unreadable = core.DecodeError(message="no JSON", response=_response(status, SERVICE))
    assert type(translate(unreadable)) is AmbiguousError


@pytest.mark.parametrize("status", [429, 449, 410, 503, 408])
def test_the_service_s_wish_to_wait_is_handed_on(status: int) -> None:
    translated = translate(answer(status, retry_after_ms="1500"))
    assert isinstance(translated, TransientError)
    assert translated.retry_after_s == 1.5
    without = translate(answer(status))
    assert isinstance(without, TransientError)
    assert without.retry_after_s is None


def test_a_wish_that_is_no_number_is_none() -> None:
    translated = translate(answer(429, retry_after_ms="soon"))
    assert isinstance(translated, ThrottledError)
    assert translated.retry_after_s is None


@pytest.mark.parametrize(("status", "kind"), [(409, AzureRefusal), (413, AzureRefusal), (429, ThrottledError)])
def test_a_batch_is_judged_by_the_operation_that_failed(status: int, kind: type[Exception]) -> None:
    error = batch_failure(status)
    assert is_batch_failure(error)
    assert type(translate(error)) is kind
    assert not is_batch_failure(answer(409))


NEVER_SENT = [
    aiohttp.ClientConnectorError(HOST, OSError("refused")),
    aiohttp.ClientConnectorDNSError(HOST, OSError("unknown host")),
    aiohttp.ClientProxyConnectionError(HOST, OSError("refused")),
    aiohttp.ClientConnectorSSLError(HOST, ssl.SSLError("wrong version number")),
    aiohttp.ClientHttpProxyError(SimpleNamespace(real_url=URL("https://shop.example")), (), status=407),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("cause", NEVER_SENT, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("kind", [core.ServiceRequestError, core.ServiceResponseError])
def test_a_request_that_was_never_sent_has_no_effect(kind: type[AzureError], cause: Exception) -> None:
    assert type(translate(caused(kind, cause))) is UnreachableError


def test_a_connection_that_was_not_made_in_time_has_no_effect() -> None:
    error = caused(core.ServiceRequestTimeoutError, aiohttp.ConnectionTimeoutError("slow"))
    assert type(translate(error)) is UnreachableError


@pytest.mark.parametrize(
    "error",
    [
        caused(core.ServiceRequestError, aiohttp.ServerDisconnectedError()),
        caused(core.ServiceRequestError, aiohttp.ClientOSError(104, "reset")),
        caused(core.ServiceRequestError, aiohttp.ClientPayloadError("cut")),
        caused(core.ServiceResponseTimeoutError, aiohttp.SocketTimeoutError("late")),
        core.IncompleteReadError("cut"),
        aiohttp.ClientPayloadError("cut"),
        ConnectionResetError("reset"),
        TimeoutError(),
    ],
    ids=repr,
)
def test_a_request_whose_answer_was_lost_may_have_taken_effect(error: Exception) -> None:
    assert type(translate(error)) is AmbiguousError


@pytest.mark.parametrize(
    ("verify_message", "said"),
    [
        ("unable to get local issuer certificate", "not accepted (unable to get local issuer certificate)"),
        ("Hostname mismatch, certificate is not valid for 'x'.", "certificate is not valid for 'x')"),
    ],
)
def test_a_certificate_that_is_not_accepted_is_named_as_such(verify_message: str, said: str) -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_message = verify_message
    translated = translate(caused(core.ServiceRequestError, aiohttp.ClientConnectorCertificateError(HOST, refused)))
    assert isinstance(translated, UntrustedError)
    assert said in str(translated)


def test_bugs_are_not_translated() -> None:
    for bug in (ZeroDivisionError(), TypeError(), ValueError(), KeyError()):
        assert translate(bug) is bug


def test_only_the_first_line_of_an_answer_is_repeated() -> None:
    """What follows may echo the request."""
    error = HttpResponseError(
        message="Unauthorized\nThe request was signed over SECRET", response=_response(401, SERVICE)
    )
    assert "Unauthorized" in str(translate(error))
    assert "SECRET" not in str(translate(error))


@pytest.mark.parametrize(
    ("error", "where", "said"),
    [
        (UnreachableError("refused"), "target", "cannot be reached (refused)"),
        (UntrustedError("not accepted"), "target.ca_bundle", "PEM file"),
        (AccessError("status 403/0"), "target", "docs/permissions.md"),
        (AzureRefusal(400, 0, "bad"), "target", "Check the endpoint and the names beside it"),
        (AmbiguousError("status 503/0"), "target", "cannot be reached (status 503/0)"),
        (ThrottledError("status 429/0"), "target", "cannot be reached (status 429/0)"),
    ],
)
def test_what_an_operator_is_told_at_the_start(error: Exception, where: str, said: str) -> None:
    told = configuration_error("target", error)
    assert told.where == where
    assert said in str(told)


def of_storage(status: int, code: str, **headers: str) -> HttpResponseError:
    """The SDK's error for an answer of a storage account."""
    made: Callable[..., Any] = core.ClientAuthenticationError if status == 401 else HttpResponseError
    given = {"x-ms-request-id": "r", "x-ms-error-code": code, **headers}
    error: HttpResponseError = made(message="text", response=_response(status, given))
    return error


def test_a_busy_storage_account_throttles_and_says_for_how_long() -> None:
    translated = translate(of_storage(503, "ServerBusy", **{"Retry-After": "7"}))
    assert isinstance(translated, ThrottledError)
    assert translated.retry_after_s == 7
    assert type(translate(of_storage(503, "InternalError"))) is AmbiguousError


def test_a_refusal_of_storage_is_told_by_its_code() -> None:
    translated = translate(of_storage(412, "ConditionNotMet"))
    assert isinstance(translated, AzureRefusal)
    assert (translated.code, str(translated)) == ("ConditionNotMet", "status 412/ConditionNotMet: text")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 501, 503])
def test_bytes_that_the_service_cannot_fetch_are_refused_whatever_the_status(status: int) -> None:
    """It passes the status on with which it was answered: that is not about our own rights."""
    translated = translate(of_storage(status, "CannotVerifyCopySource"))
    assert isinstance(translated, AzureRefusal)
    assert translated.code == "CannotVerifyCopySource"

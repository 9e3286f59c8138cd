"""Every error of botocore's that can be met while running has a counterpart, and none of them tells a secret."""

import inspect
import ssl

import aiohttp
import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from connectors.aws.errors import (
    ACCESS,
    THROTTLES,
    AwsRefusal,
    UnreadableAnswerError,
    configuration_error,
    translate,
)
from fakes.streams import client_error
from replicator.errors import AccessError, ConfigurationError, ThrottledError, TransientError, UnreachableError

AT_THE_START = {
    "AliasConflictParameterError", "ApiVersionNotFoundError", "AwsChunkedWrapperError", "BaseEndpointResolverError",
    "BotoCoreError", "CapacityNotAvailableError", "ConfigNotFound", "ConfigParseError", "DataNotFoundError",
    "EndpointProviderError", "EndpointResolutionError", "EndpointVariantError", "InfiniteLoopConfigError",
    "InvalidChecksumConfigError", "InvalidConfigError", "InvalidDNSNameError", "InvalidDefaultsMode",
    "InvalidEndpointConfigurationError", "InvalidEndpointDiscoveryConfigurationError", "InvalidExpressionError",
    "InvalidHostLabelError", "InvalidIMDSEndpointError", "InvalidIMDSEndpointModeError",
    "InvalidMaxRetryAttemptsError", "InvalidProxiesConfigError", "InvalidRegionError",
    "InvalidRetryConfigurationError", "InvalidRetryModeError", "InvalidS3AddressingStyleError",
    "InvalidS3UsEast1RegionalEndpointConfigError", "InvalidSTSRegionalEndpointsConfigError", "MD5UnavailableError",
    "MissingDependencyException", "MissingParametersError", "NoRegionError", "OperationNotPageableError",
    "PaginationError", "ParamValidationError", "RangeError", "RefreshWithMFAUnsupportedError",
    "ServiceNotInRegionError", "StubAssertionError", "StubResponseError", "UnStubbedResponseError",
    "UnknownClientMethodError", "UnknownCredentialError", "UnknownEndpointError",
    "UnknownEndpointResolutionBuiltInName", "UnknownFIPSEndpointError", "UnknownKeyError", "UnknownParameterError",
    "UnknownRegionError", "UnknownServiceError", "UnknownServiceStyle", "UnknownSignatureVersionError",
    "UnknownTokenProviderError", "UnseekableStreamError", "UnsupportedOutpostResourceError",
    "UnsupportedS3AccesspointConfigurationError", "UnsupportedS3ArnError", "UnsupportedS3ConfigurationError",
    "UnsupportedS3ControlArnError", "UnsupportedS3ControlConfigurationError", "UnsupportedServiceProtocolsError",
    "UnsupportedSignatureVersionError", "ValidationError", "WaiterConfigError", "WaiterError",
}  # fmt: skip
"""Wrong settings and wrong calls: a client is not even set up with them, or it is a bug of ours."""

ANY_FIELD = "endpoint_url proxy_url error request provider error_msg name profile cred_var expected checksum_type "
ANY_FIELD += "expected_checksum actual_checksum actual_bytes expected_bytes msg sso_error"


def botocore_errors() -> list[type[exceptions.BotoCoreError]]:
    """All there are in the botocore installed."""
    found = [c for c in vars(exceptions).values() if inspect.isclass(c) and issubclass(c, exceptions.BotoCoreError)]
    return sorted(set(found), key=lambda c: str(c.__name__))


@pytest.mark.parametrize(
    "kind", [c for c in botocore_errors() if c.__name__ not in AT_THE_START], ids=lambda c: c.__name__
)
def test_every_error_of_botocore_has_a_counterpart(kind: type[exceptions.BotoCoreError]) -> None:
    """A new one in a newer botocore fails here until somebody has decided about it."""
    error = kind(**dict.fromkeys(ANY_FIELD.split(), "text"))
    assert isinstance(translate("get_records", error), TransientError)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("reset"),
        TimeoutError(),
        ssl.SSLError("bad"),
        OSError("no route"),
        aiohttp.ServerDisconnectedError(),
        exceptions.HTTPClientError(error="lost"),
        ResponseParserError("not XML"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_lost_connection_is_transient(error: Exception) -> None:
    if isinstance(error, aiohttp.ClientError):
        error = exceptions.HTTPClientError(error=error)  # as aiobotocore hands it on
    assert isinstance(translate("scan", error), TransientError)


@pytest.mark.parametrize("code", sorted(THROTTLES))
def test_throttling_codes(code: str) -> None:
    assert type(translate("scan", client_error("scan", code))) is ThrottledError


@pytest.mark.parametrize("code", sorted(ACCESS))
def test_access_codes(code: str) -> None:
    assert type(translate("scan", client_error("scan", code))) is AccessError


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("", 429, ThrottledError),
        ("429", 429, ThrottledError),
        ("InternalServerError", 500, TransientError),
        ("InternalServerError", 400, TransientError),
        ("ServiceUnavailable", 503, TransientError),
        ("503", 503, TransientError),
        ("403", 403, AccessError),
        ("407", 407, AccessError),
        ("ValidationException", 400, AwsRefusal),
        ("ResourceNotFoundException", 400, AwsRefusal),
        ("TrimmedDataAccessException", 400, AwsRefusal),
        ("ExpiredIteratorException", 400, AwsRefusal),
    ],
)
def test_answers(code: str, status: int, kind: type[Exception]) -> None:
    assert type(translate("scan", client_error("scan", code, status=status))) is kind


def test_a_refusal_says_what_was_refused_and_why() -> None:
    refusal = translate("scan", client_error("scan", "ValidationException", "the key is too long"))
    assert isinstance(refusal, AwsRefusal)
    assert (refusal.operation, refusal.code) == ("scan", "ValidationException")
    assert str(refusal) == "scan: ValidationException: the key is too long"


def test_bugs_are_not_translated() -> None:
    bug = ZeroDivisionError()
    assert translate("scan", bug) is bug


@pytest.mark.parametrize("code", ["InvalidSignatureException", "IncompleteSignature", "ValidationException", "403"])
def test_the_headers_of_a_refused_signature_are_not_repeated(code: str) -> None:
    """The service explains with the canonical request, session token included."""
    message = "The signature does not match.\n\nThe Canonical String was\n'POST\nx-amz-security-token:SECRET\n'"
    for status in (400, 403):
        translated = translate("scan", client_error("scan", code, message, status))
        assert "does not match" in str(translated)
        assert "SECRET" not in str(translated)
        assert "SECRET" not in str(configuration_error("source", translated))


def test_the_password_of_a_proxy_is_not_repeated() -> None:
    masked = exceptions.ProxyConnectionError(proxy_url="http://***:***@proxy:3128", error="refused")
    assert "***" in str(translate("scan", masked))


@pytest.mark.parametrize(
    ("error", "where", "said"),
    [
        (UnreachableError("scan: refused"), "source", "cannot be reached"),
        (AccessError("scan: AccessDenied"), "source", "docs/permissions.md"),
        (exceptions.NoRegionError(), "source.region", "AWS_DEFAULT_REGION"),
        (exceptions.ProfileNotFound(profile="p"), "source", "credentials"),
        (ThrottledError("scan: slow"), "source", "Start again"),
    ],
)
def test_what_an_operator_is_told_at_the_start(error: Exception, where: str, said: str) -> None:
    told = configuration_error("source", error)
    assert told.where == where
    assert said in str(told)


def test_a_configuration_error_stays_as_it_is() -> None:
    error = ConfigurationError("a", "b", "c")
    assert configuration_error("source", error) is error


def test_what_is_decided_about_exists() -> None:
    """The list above names no class that botocore does not have."""
    assert {c.__name__ for c in botocore_errors()} >= AT_THE_START


def test_an_address_that_was_called_is_told_without_what_it_names() -> None:
    url = "https://media.s3.eu-west-1.amazonaws.com/customers/ann?versionId=1"
    error = translate("head_object", exceptions.EndpointConnectionError(endpoint_url=url))
    assert isinstance(error, UnreachableError)
    assert "https://media.s3.eu-west-1.amazonaws.com" in str(error)
    assert "ann" not in str(error)


def test_the_head_of_an_answer_that_cannot_be_read_is_not_shown() -> None:
    request = aiohttp.RequestInfo(url=None, method="HEAD", headers=None, real_url=None)  # type: ignore[arg-type]
    cause = aiohttp.ClientResponseError(request, (), status=400, message="Got more than 8190 bytes: b'secret'")
    error = translate("head_object", exceptions.HTTPClientError(error=cause))
    assert isinstance(error, UnreadableAnswerError)
    assert "secret" not in str(error)

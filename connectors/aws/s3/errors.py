"""What S3 answers about single objects, in the engine's words.

A refusal that is about one object is a definite answer (AwsRefusal), even where its status is 403: it becomes absence,
an obstacle or a refused content. One that is about the caller stays what it is elsewhere, and is repeated. An answer to
HEAD has no body, so its code is only the status; it is believed only with the id that S3 gives each request, since a
proxy's 404 must not pass for an object that is gone.
"""

from botocore import exceptions

from connectors.aws.errors import AwsRefusal, UnreadableAnswerError, translate
from replicator.errors import ThrottledError

OBJECT_READS = frozenset({"head_object", "get_object", "get_object_tagging"})

DENIALS = frozenset({"AccessDenied", "AllAccessDisabled", "InvalidObjectState"})
"""Refusals with status 403 that may be about the object alone."""

HEAD_CODES = {
    "400": "BadRequest",
    "403": "AccessDenied",
    "404": "NoSuchKey",
    "405": "MethodNotAllowed",
    "412": "PreconditionFailed",
}
"""What the status of an answer to HEAD says."""

UNREADABLE_HEAD = "UnreadableHead"
"""Our own code for an object whose headers the client cannot read."""

ABSENT = frozenset({"NoSuchKey", "NoSuchVersion"})


def translate_s3(operation: str, error: Exception) -> Exception:
    """As `connectors.aws.errors.translate`, with refusals about one object told apart."""
    if operation in OBJECT_READS and isinstance(error, exceptions.ClientError):
        refusal = _about_the_object(operation, error)
        if refusal is not None:
            return refusal
    translated = translate(operation, error)
    if operation in OBJECT_READS and isinstance(translated, UnreadableAnswerError):
        return AwsRefusal(operation, UNREADABLE_HEAD, "its headers are more, or longer, than can be read")
    return translated


def _about_the_object(operation: str, error: exceptions.ClientError) -> Exception | None:
    details, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", "")).partition("\n")[0]
    if code in DENIALS or (code.startswith("KMS.") and code != "KMS.ThrottlingException"):
        return AwsRefusal(operation, code, message)
    if "x-amz-request-id" not in metadata.get("HTTPHeaders", {}):
        return None
    if code == "503":
        return ThrottledError(f"{operation}: {code}")
    return AwsRefusal(operation, HEAD_CODES[code], message) if code in HEAD_CODES else None

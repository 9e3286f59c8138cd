"""Answers that cannot be what the service has sent, found before botocore makes something of them.

Each raises an error of botocore's, which `connectors.aws.errors` calls transient.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from zlib import crc32

from botocore.exceptions import ChecksumError
from botocore.parsers import ResponseParserError

JSON_PROTOCOLS = frozenset({"json", "rest-json"})


def refuse_damaged(operation_model: Any, response_dict: Mapping[str, Any], **_: object) -> None:
    """For the event `before-parse` of a client."""
    body = response_dict["body"]
    if not isinstance(body, bytes):  # it is streamed
        return
    refuse_other_checksum(response_dict["headers"].get("x-amz-crc32"), body)
    if operation_model.service_model.resolved_protocol in JSON_PROTOCOLS:
        refuse_no_object(body)


def refuse_other_checksum(expected: str | None, body: bytes) -> None:
    """DynamoDB sends one with each answer, which botocore compares only in the retries that ours replace.

    It is of the bytes on the way, encoded or not; aiobotocore hands those out, and asks for no encoding. Without a
    checksum, as local emulators answer, there is nothing to compare.
    """
    if expected is not None and expected != str(crc32(body)):
        raise ChecksumError(checksum_type="crc32", expected_checksum=expected, actual_checksum=crc32(body))


def refuse_no_object(body: bytes) -> None:
    """A page in another encoding, or JSON of another shape, on which botocore's parser ends with errors of any kind.

    Other text is left to it: the status beside it may tell something.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ResponseParserError("an answer that is not UTF-8") from None
    if text.startswith("{"):
        return
    with suppress(ValueError):
        if not isinstance(json.loads(text), dict):
            raise ResponseParserError("an answer that is no JSON object")

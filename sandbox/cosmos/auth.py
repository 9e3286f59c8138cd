"""Checks the signature that a client makes with the account key."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from sandbox.cosmos.errors import CosmosError

if TYPE_CHECKING:
    from collections.abc import Mapping

EMULATOR_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
"""The published key of Microsoft's emulators; no secret."""


class Authority:
    """Verifies requests against one account key. The age of `x-ms-date` is not checked."""

    def __init__(self, key: str) -> None:
        self._key = base64.b64decode(key, validate=True)

    def check(self, method: str, resource_type: str, link: str, headers: Mapping[str, str]) -> None:
        """Raise CosmosError 401 unless the request is signed with the account key."""
        token = headers.get("authorization")
        if token is None:
            raise CosmosError(401, "The authorization header is missing.")
        text = unquote(token)
        if not text.startswith("type=master&ver=1.0&sig="):
            raise CosmosError(401, _refusal(text))
        date = headers.get("x-ms-date") or headers.get("date", "")
        signed = f"{method.lower()}\n{resource_type}\n{link}\n{date.lower()}\n\n"
        expected = base64.b64encode(hmac.digest(self._key, signed.encode(), "sha256")).decode()
        if not hmac.compare_digest(expected, text[24:]):
            raise CosmosError(
                401,
                "The input authorization token can't serve the request: the signature is not the one"
                f" of this account's key over {signed!r}.",
            )


def _refusal(token: str) -> str:
    kind = dict(parse_qsl(token)).get("type", "unknown")
    if kind == "aad":
        return "Microsoft Entra tokens are not accepted: the sandbox knows account keys only."
    return f"Authorization of type {kind} is not accepted: the sandbox knows account keys only."

"""Checks shared access signatures."""

from __future__ import annotations

import base64
import hmac
import time
from typing import Final
from urllib.parse import parse_qs, unquote_plus, urlsplit

from sandbox.servicebus.broker.errors import UNAUTHORIZED, RefusedError

KEY_NAME: Final = "RootManageSharedAccessKey"
EMULATOR_KEY: Final = "SAS_KEY_VALUE"
"""What Microsoft's emulator documents as its key; no secret."""

_PREFIX: Final = "SharedAccessSignature "


class Authority:
    """Verifies tokens against one key of the namespace, which has every right."""

    def __init__(self, key: str, key_name: str = KEY_NAME) -> None:
        self.key = key
        self.key_name = key_name

    def check(self, token: str, audience: str) -> str:
        """The path that a token opens, without slashes around it; "" for the whole namespace.

        `audience` is what it is presented for. Raises RefusedError as the service refuses.
        """
        if not token.startswith(_PREFIX):
            raise _unauthorized("The sandbox knows shared access signatures only, no Microsoft Entra tokens")
        fields = {name: values[0] for name, values in parse_qs(token[len(_PREFIX) :]).items()}
        if not {"sr", "sig", "se"} <= fields.keys():
            raise _unauthorized("MalformedToken: The token has no sr, sig or se")
        if fields.get("skn") != self.key_name or not self._is_signed(token, fields):
            raise _unauthorized("InvalidSignature: The token has an invalid signature.")
        if int(fields["se"]) <= time.time():
            raise _unauthorized("ExpiredToken: The token is expired.")
        opened = path_of(fields["sr"])
        if not covers(opened, path_of(audience)):
            raise _unauthorized("InvalidAudience: The authorization header contains a token for another resource.")
        return opened

    def check_password(self, name: str, password: str) -> bool:
        """Whether SASL PLAIN gave the key itself."""
        return name == self.key_name and hmac.compare_digest(password.encode(), self.key.encode())

    def _is_signed(self, token: str, fields: dict[str, str]) -> bool:
        raw = dict(part.partition("=")[::2] for part in token[len(_PREFIX) :].split("&"))
        signed = f"{raw['sr']}\n{fields['se']}".encode()
        expected = base64.b64encode(hmac.digest(self.key.encode(), signed, "sha256")).decode()
        return hmac.compare_digest(expected, unquote_plus(raw["sig"]))


def path_of(address: str) -> str:
    """The path of an address such as `sb://host:5672/orders/`, or of a bare `orders`: `orders`."""
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/")


def covers(opened: str, wanted: str) -> bool:
    """Whether a token for one path opens another."""
    opened, wanted = opened.casefold(), wanted.casefold()
    return not opened or wanted == opened or wanted.startswith(f"{opened}/")


def _unauthorized(description: str) -> RefusedError:
    return RefusedError(UNAUTHORIZED, description)

"""Who may change something: whoever holds the token, or, where none is configured, whoever is on this machine."""

import hmac
import ipaddress
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import SecretStr

from replicator.api import ACTOR_HEADER

MOST_ACTOR = 100


class Access(SecurityBase):
    """A dependency of the routes that change something or show what a record holds. Its value is who asks.

    Raises 401 without the token; where none is configured, 403 from another machine, and for a request that calls this
    one by a name of its own, as a page in somebody's browser can whose name has come to mean this machine; and 415 for
    a body that any page could have sent.
    """

    def __init__(self, token: SecretStr | None) -> None:
        self.scheme_name = "token"
        self.model = HTTPBearer(description="http.token; where there is none, whoever is on this machine may")
        self._token = token.get_secret_value().encode() if token else None

    def __call__(self, request: Request) -> str:
        self._require_json(request)
        if self._token is not None:
            self._require_token(request, self._token)
        elif not (_is_loopback(request) and _is_called_local(request)):
            raise HTTPException(403, "no http.token is configured, so this is accepted from the daemon's machine only")
        return _actor(request)

    def _require_token(self, request: Request, token: bytes) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token):
            raise HTTPException(401, "the bearer token is missing or wrong", {"WWW-Authenticate": "Bearer"})

    def _require_json(self, request: Request) -> None:
        """A browser sends JSON to another origin only if that allows it, which this interface does not."""
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if request.method == "POST" and kind != "application/json":
            raise HTTPException(415, "the body must be application/json")


def _is_loopback(request: Request) -> bool:
    return request.client is not None and _is_loopback_address(request.client.host)


def _is_called_local(request: Request) -> bool:
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback_address(name)


def _is_loopback_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _actor(request: Request) -> str:
    host = request.client.host if request.client else "unknown"
    said = request.headers.get(ACTOR_HEADER, "")[:MOST_ACTOR]
    name = "".join(c for c in said if c.isprintable())
    return f"{name} ({host})" if name else host

"""Who may change something: whoever holds the token, or, where none is configured, whoever is on this machine."""

import hmac
import ipaddress

from fastapi import HTTPException, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import SecretStr

from replicator.api import ACTOR_HEADER

MOST_ACTOR = 100


class Access(SecurityBase):
    """A dependency of the routes that change something or show what a record holds. Its value is who asks.

    Raises 401 without the token, 403 from another machine where no token is configured, and 415 for a body that a page
    in somebody's browser could have sent.
    """

    def __init__(self, token: SecretStr | None) -> None:
        self.scheme_name = "token"
        self.model = HTTPBearer(description="http.token; where there is none, whoever is on this machine may")
        self._token = token.get_secret_value().encode() if token else None

    def __call__(self, request: Request) -> str:
        self._require_json(request)
        if self._token is not None:
            self._require_token(request, self._token)
        elif not _is_loopback(request):
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
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _actor(request: Request) -> str:
    host = request.client.host if request.client else "unknown"
    said = request.headers.get(ACTOR_HEADER, "")[:MOST_ACTOR]
    name = "".join(c for c in said if c.isprintable())
    return f"{name} ({host})" if name else host

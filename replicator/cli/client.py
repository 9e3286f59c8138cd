"""Calls to a running daemon."""

import getpass
import ipaddress
import json
import os
import re
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from pydantic import BaseModel, ValidationError

from replicator.api import ACTOR_HEADER
from replicator.errors import ConfigurationError

M = TypeVar("M", bound=BaseModel)

ADDRESS = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+)(:\d+)?(/\S*)?$")

TOKEN_VARIABLE = "REPLICATOR_TOKEN"  # noqa: S105 — its name

TIMEOUT_S = 30.0
"""Everything is answered at once but the retry of dead letters."""


def call(url: str, path: str, member: str, body: object = None, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The JSON answer to a GET, or to a POST where there is a body; it must be an object with this member.

    Raises ConfigurationError where there is no such answer.
    """
    if not ADDRESS.match(url):
        raise ConfigurationError("--url", f"{url} is no http address", "Give http://host:port")
    data = None if body is None else json.dumps(body).encode()
    request = Request(url.rstrip("/") + path, data=data, headers=_headers())  # noqa: S310
    answer = _answer(url, request, timeout_s)
    if not isinstance(answer, dict) or member not in answer:
        raise ConfigurationError(
            "--url", f"what answers at {url} is not replicator", "Give the address that the daemon logs when it starts"
        )
    return answer


def read(kind: type[M], url: str, answer: object, told_as: str = "the answer of {url}") -> M:
    """An answer as what it is. Raises ConfigurationError for one of another version that cannot be read, which is told
    as this.
    """
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        first = error.errors()[0]
        member = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            "--url",
            f"{told_as.format(url=url)} cannot be read ({member}: {first['msg']})",
            "Use the replicator command of the daemon's own version",
        ) from error


def _headers() -> dict[str, str]:
    """The token comes from the environment only: a command line is there for everybody to see."""
    token = os.environ.get(TOKEN_VARIABLE)
    authorization = {"Authorization": f"Bearer {token}"} if token else {}
    return {"Content-Type": "application/json", ACTOR_HEADER: _user(), **authorization}


def _user() -> str:
    """A container's user may have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


def _answer(url: str, request: Request, timeout_s: float) -> object:
    try:
        with _opener(url).open(request, timeout=timeout_s) as answer:
            found: object = json.load(answer)
            return found
    except HTTPError as error:
        raise ConfigurationError(
            url, f"the daemon refuses ({error.code}: {_detail(error)})", "Change what was asked for"
        ) from error
    except TimeoutError as error:
        raise ConfigurationError(
            url, f"there was no answer within {timeout_s:g} s", "Look at the daemon's log, and try again"
        ) from error
    except ValueError:  # no JSON
        return None
    except (OSError, HTTPException) as error:
        raise ConfigurationError(
            "--url",
            f"no daemon answers at {url} ({_reason(error)})",
            "Start it with replicator run, or give its address",
        ) from error


def _opener(url: str) -> OpenerDirector:
    """Proxies of the environment are for other machines."""
    host = urlsplit(url).hostname or ""
    return build_opener(ProxyHandler({})) if is_loopback(host) else build_opener()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    """In the system's words; urllib wraps them twice."""
    cause = error.reason if isinstance(error, URLError) else error
    return cause.strerror or str(cause) if isinstance(cause, OSError) else str(cause)


def _detail(error: HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return error.reason

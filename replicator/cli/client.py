"""Calls to a running daemon."""

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from replicator.errors import ConfigurationError

TIMEOUT_S = 30.0
"""Retrying dead letters may take a while; everything else answers at once."""


def call(url: str, path: str, body: object = None) -> Any:
    """The JSON answer to a GET, or to a POST where there is a body. Raises ConfigurationError without an answer."""
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError("--url", f"{url} is not an http address", "Give http://host:port")
    data = None if body is None else json.dumps(body).encode()
    request = Request(url.rstrip("/") + path, data=data, headers={"Content-Type": "application/json"})  # noqa: S310
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 — the scheme is checked above
            return json.load(answer)
    except HTTPError as error:
        raise ConfigurationError(
            path, f"the daemon refuses ({error.code}: {_detail(error)})", "Mend the call"
        ) from error
    except (URLError, TimeoutError, OSError, ValueError) as error:
        raise ConfigurationError(
            "--url", f"no daemon answers at {url} ({error})", "Start it with replicator run, or give its address"
        ) from error


def _detail(error: HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return error.reason

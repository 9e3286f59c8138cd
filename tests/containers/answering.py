"""Whether something behind a port speaks HTTP yet; the engine's own proxy takes connections before the service does."""

from __future__ import annotations

import http.client

from sandbox.aws import LOOPBACK

TIMEOUT_S = 2.0


def answers(port: int, path: str = "/") -> bool:
    """Whether a request is answered with anything but an error of the server."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

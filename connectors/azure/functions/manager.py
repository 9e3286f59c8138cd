"""Calls to Azure Resource Manager about one function app: repeated a few times, then told."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import aiohttp
import anyio

from connectors.azure.errors import from_service
from connectors.azure.functions.config import FunctionConfig
from replicator.errors import ConfigurationError

API_VERSION: Final = "2024-04-01"

ATTEMPTS: Final = 4
FIRST_PAUSE_S: Final = 0.3
MOST_PAUSE_S: Final = 10.0
CALL_TIMEOUT_S: Final = 20.0

REPEATED: Final = frozenset({408, 409, 429, 500, 502, 503, 504})
"""409: another operation of the app is under way."""

ROLE_FIX: Final = "Give the role of docs/triggers.md for this app"

Token = Callable[[], Awaitable[str]]


class Manager:
    """Of one app. Every method raises ConfigurationError. No answer appears in messages: settings are secrets."""

    def __init__(self, session: aiohttp.ClientSession, config: FunctionConfig, token: Token, where: str) -> None:
        self._session = session
        self._config = config
        self._token = token
        self._where = where

    async def settings(self) -> dict[str, str]:
        """All application settings of the app."""
        answer = await self._call("POST", "/config/appsettings/list")
        return {str(name): str(value) for name, value in (answer.get("properties") or {}).items()}

    async def put_settings(self, settings: Mapping[str, str]) -> None:
        """Replaces all of them, which makes the app start anew."""
        await self._call("PUT", "/config/appsettings", {"properties": dict(settings)})

    async def function(self) -> Mapping[str, Any]:
        """What is known of the function: `isDisabled`, and its bindings in `config`."""
        answer = await self._call("GET", f"/functions/{self._config.function}")
        return answer.get("properties") or {}

    async def kind(self) -> str:
        """Of the app, as in `functionapp,linux`."""
        return str((await self._call("GET", "")).get("kind", ""))

    async def _call(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        failure = "it did not answer"
        for attempt in range(ATTEMPTS):
            pause_s = FIRST_PAUSE_S * 2**attempt
            try:
                status, headers, answer = await self._once(method, path, body)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                failure = f"it did not answer ({type(error).__name__})"
            else:
                if 200 <= status < 300 and isinstance(answer, dict):
                    return answer
                failure = f"status {status}{_code(answer)}"
                if status not in REPEATED:
                    raise self._refused(status, failure)
                pause_s = _retry_after_s(headers) or pause_s
            if attempt < ATTEMPTS - 1:
                await anyio.sleep(min(pause_s, MOST_PAUSE_S))
        raise ConfigurationError(
            self._where,
            f"Azure Resource Manager cannot be used: {failure}",
            "Try again, and check endpoint and network",
        )

    async def _once(self, method: str, path: str, body: object) -> tuple[int, Mapping[str, str], object]:
        url = f"{self._config.endpoint.rstrip('/')}{self._config.app}{path}?api-version={API_VERSION}"
        headers = {"Authorization": f"Bearer {await self._token()}", "Content-Type": "application/json"}
        with anyio.fail_after(CALL_TIMEOUT_S):
            async with self._session.request(
                method,
                url,
                data=b"" if body is None else json.dumps(body).encode(),
                headers={**headers, "Accept": "application/json", "Accept-Encoding": "identity"},
                proxy=self._config.proxy,
                allow_redirects=False,
            ) as answer:
                text = await answer.read()
                if not from_service(answer.headers):
                    raise aiohttp.ClientPayloadError("an answer of something that is not the service")
                return answer.status, answer.headers, _parsed(text)

    def _refused(self, status: int, failure: str) -> ConfigurationError:
        app = self._config.app.rpartition("/sites/")[2]
        if status in {401, 403}:
            return ConfigurationError(self._where, f"app {app} may not be looked at or changed: {failure}", ROLE_FIX)
        if status == 404:
            problem = f"app {app} or its function {self._config.function} does not exist: {failure}"
            return ConfigurationError(self._where, problem, "Check app and function")
        return ConfigurationError(self._where, f"app {app} refuses: {failure}", "Check app and function")


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _code(answer: object) -> str:
    """Of an error as Azure Resource Manager tells it, or as the app's service does."""
    if not isinstance(answer, dict):
        return ""
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else answer.get("Code")
    return f"/{str(code)[:100]}" if code else ""


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None

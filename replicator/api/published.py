"""The published description of the interface, completed by what holds for many routes at once."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from replicator.api.bounds import BODY_TIMEOUT_S, MOST_BODY_BYTES

GUARDED = {
    "401": "A token is configured, and it is missing or wrong.",
    "403": "No token is configured, and the request comes from another machine.",
}

CHANGING = {
    "400": "The body is no text.",
    "408": f"The body was not sent within {BODY_TIMEOUT_S:g} s.",
    "413": f"The body is larger than {MOST_BODY_BYTES} bytes.",
    "415": "The body is not application/json.",
    "503": "The bodies of other requests are too large: ask again.",
}

REFUSAL = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}

MISTAKES = {
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        }
    },
}


def publish(app: FastAPI) -> None:
    """Answers malformed requests without repeating what was sent, and describes every refusal."""
    app.add_exception_handler(RequestValidationError, _malformed)
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(plain())
        return plain()

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI's documentation does it


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 — it is registered for these
    found = [{"loc": _places(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in error.errors()]
    return JSONResponse({"detail": found}, 422)


def _places(loc: tuple[str | int, ...]) -> list[str | int]:
    """Names of members that are not known are the caller's text: any of it may be no text at all."""
    return [p.encode(errors="replace").decode() if isinstance(p, str) else p for p in loc]


def _complete(description: dict[str, Any]) -> None:
    for path in description["paths"].values():
        for method, operation in path.items():
            reasons = {**(GUARDED if "security" in operation else {}), **(CHANGING if method == "post" else {})}
            answers = operation["responses"]
            for code, reason in reasons.items():
                answers.setdefault(code, _answer(reason, REFUSAL))
            if "422" in answers or method == "post":
                answers["422"] = _answer("The request is malformed.", MISTAKES)


def _answer(reason: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": reason, "content": {"application/json": {"schema": schema}}}

"""The control path of the local servers: JSON in and out, no authorization. Each server has its own commands."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Final, TypeVar

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

PREFIX: Final = "/_sandbox/"


async def answered(
    http: web.BaseRequest,
    perform: Callable[[str, str, dict[str, object]], dict[str, object] | None],
    refusal: type[Exception],
) -> web.Response:
    """Answer one control request: 200 with JSON, 400 with a reason, 404 for what is not there.

    `perform` is given the method with the command, the rest of the path, and the body; None says that there is no such
    command. `refusal` is how the server itself refuses what it is asked.
    """
    command, _, argument = http.path.removeprefix(PREFIX).partition("/")
    body = await http.read()
    try:
        answer = perform(f"{http.method} {command}", argument, json.loads(body or b"{}"))
    except (ValidationError, ValueError, TypeError, refusal) as error:
        return web.json_response({"error": str(error)}, status=400)
    if answer is None:
        return web.json_response({"error": f"no such command: {http.method} {http.path}"}, status=404)
    return web.json_response(answer)


def parsed(kind: type[T], body: object) -> T:
    """What JSON describes by its members. Raises ValueError for what is no good, or as `kind` does."""
    members = {member.name for member in fields(kind)}
    if not isinstance(body, dict) or body.keys() - members:
        raise ValueError(f"a {kind.__name__} has the members {', '.join(sorted(members))}, not {body!r}")
    return TypeAdapter(kind).validate_python(body)

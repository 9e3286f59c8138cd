"""The control path `/_sandbox/`: drives a server that runs as another process.

Everything is JSON and needs no authorization:

    GET    /_sandbox/stats           counts by operation and status, items by container
    DELETE /_sandbox/stats           start counting anew
    GET    /_sandbox/faults          the rules in force
    POST   /_sandbox/faults          add a rule (the members of Fault); answers its number
    DELETE /_sandbox/faults[/<n>]    take one rule or all back
    PUT    /_sandbox/budget          {"ru_per_s": 400 | null, "database": …, "container": …}; without
                                     names: all containers and those to come
    POST   /_sandbox/clock           {"advance_s": 3600}
    POST   /_sandbox/reset           drop all databases, faults and counts
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from sandbox.control import answered, parsed
from sandbox.cosmos.errors import CosmosError
from sandbox.cosmos.faults import Fault

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.cosmos.server import CosmosServer


async def control(server: CosmosServer, http: web.BaseRequest) -> web.Response:
    """Answer one control request."""
    return await answered(http, partial(_perform, server), CosmosError)


def _perform(server: CosmosServer, command: str, argument: str, body: dict[str, object]) -> dict[str, object] | None:
    match command:
        case "GET stats":
            return dict(server.stats())
        case "DELETE stats":
            server.clear_stats()
        case "GET faults":
            return {str(number): asdict(fault) for number, fault in server.faults.rules().items()}
        case "POST faults":
            return {"number": server.faults.add(parsed(Fault, body))}
        case "DELETE faults":
            server.faults.remove(int(argument)) if argument else server.faults.clear()
        case "PUT budget":
            _set_budget(server, body)
        case "POST clock":
            server.clock.advance(_number(body, "advance_s") or 0.0)
        case "POST reset":
            server.reset()
        case _:
            return None
    return {"done": True}


def _set_budget(server: CosmosServer, body: dict[str, object]) -> None:
    database, container = body.get("database"), body.get("container")
    if (database is None) != (container is None):
        raise ValueError("name both the database and the container, or neither")
    names = (str(database), str(container)) if database is not None else None
    server.set_budget(_number(body, "ru_per_s"), names)


def _number(body: dict[str, object], name: str) -> float | None:
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{name} must be a number or null")
    return value

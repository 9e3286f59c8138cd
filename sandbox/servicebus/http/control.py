"""The control path `/_sandbox/`: drives a broker that runs as another process.

Everything is JSON and needs no authorization:

    GET    /_sandbox/stats           what became of operations; messages by queue
    DELETE /_sandbox/stats           start counting operations anew
    GET    /_sandbox/faults          the rules in force
    POST   /_sandbox/faults          add a rule (the members of Fault); answers its number
    DELETE /_sandbox/faults[/<n>]    take one rule or all back
    POST   /_sandbox/queues          create queues: {"orders": {"sessions": true}} (the members of QueueSettings)
    POST   /_sandbox/clock           {"advance_s": 3600}
    POST   /_sandbox/reset           drop all messages, faults and counts, and all queues but those declared
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from sandbox.control import answered, parsed
from sandbox.servicebus.broker.errors import RefusedError
from sandbox.servicebus.broker.settings import QueueSettings
from sandbox.servicebus.faults import Fault

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.servicebus.server import ServiceBusServer


async def control(server: ServiceBusServer, http: web.BaseRequest) -> web.Response:
    """Answer one control request."""
    return await answered(http, partial(_perform, server), RefusedError)


def parse_queues(body: dict[str, object]) -> dict[str, QueueSettings]:
    """Settings by name, as JSON has them. Raises ValueError or RefusedError."""
    return {name: parsed(QueueSettings, settings) for name, settings in body.items()}


def _perform(
    server: ServiceBusServer, command: str, argument: str, body: dict[str, object]
) -> dict[str, object] | None:
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
        case "POST queues":
            for name, settings in parse_queues(body).items():
                server.namespace.create(name, settings)
        case "POST clock":
            server.clock.advance(TypeAdapter(float).validate_python(body.get("advance_s")))
        case "POST reset":
            server.reset()
        case _:
            return None
    return {"done": True}

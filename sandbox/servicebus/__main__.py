"""`python -m sandbox.servicebus`: the broker as a process of its own; ends on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

import anyio

from sandbox.servicebus.auth import EMULATOR_KEY
from sandbox.servicebus.broker.errors import RefusedError
from sandbox.servicebus.http.control import parse_queues
from sandbox.servicebus.server import ServiceBusServer


def main() -> None:
    """Parse the command line and serve until told to stop. The line it prints first is JSON and says where it is."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.servicebus", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port for AMQP; 0 takes a free one")
    parser.add_argument("--management-port", type=int, default=0, help="port for Atom over TLS; 0 takes a free one")
    parser.add_argument("--http-port", type=int, default=0, help="port for plain HTTP; 0 takes a free one")
    parser.add_argument("--key", default=EMULATOR_KEY, help="the namespace's key; default: the emulator's")
    parser.add_argument("--certificate", type=Path, help="file for the certificate of TLS; default: a temporary one")
    parser.add_argument("--queues", default="{}", help='queues to begin with: {"orders": {"sessions": true}}')
    arguments = parser.parse_args()
    try:
        queues = parse_queues(json.loads(arguments.queues))
    except (ValueError, TypeError, AttributeError, RefusedError) as error:
        parser.error(f"--queues: {error}")
    server = ServiceBusServer(
        queues,
        host=arguments.host,
        port=arguments.port,
        management_port=arguments.management_port,
        http_port=arguments.http_port,
        key=arguments.key,
        certificate=arguments.certificate,
    )
    anyio.run(_serve, server)


async def _serve(server: ServiceBusServer) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with server:
            sys.stdout.write(json.dumps(server.whereabouts()) + "\n")
            sys.stdout.flush()
            async for _ in signals:
                return


if __name__ == "__main__":
    main()

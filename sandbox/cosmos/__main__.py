"""`python -m sandbox.cosmos`: the server as a process of its own; ends on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
import sys

import anyio

from sandbox.cosmos.account import Settings
from sandbox.cosmos.auth import EMULATOR_KEY
from sandbox.cosmos.server import CosmosServer


def main() -> None:
    """Parse the command line and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.cosmos", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--key", default=EMULATOR_KEY, help="account key, base64; default: the emulators' key")
    parser.add_argument("--partitions", type=int, default=4, help="physical partitions per container")
    parser.add_argument("--ru-per-s", type=float, default=None, help="throughput per container; default: unlimited")
    arguments = parser.parse_args()
    settings = Settings(partitions=arguments.partitions, ru_per_s=arguments.ru_per_s)
    server = CosmosServer(host=arguments.host, port=arguments.port, key=arguments.key, settings=settings)
    anyio.run(_serve, server)


async def _serve(server: CosmosServer) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with server:
            sys.stdout.write(f"{server.endpoint}\n")
            sys.stdout.flush()
            async for _ in signals:
                return


if __name__ == "__main__":
    main()

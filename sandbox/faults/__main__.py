"""A fault proxy as a process: `python -m sandbox.faults HOST:PORT --control-port N`. SIGINT or SIGTERM ends it."""

from __future__ import annotations

import argparse
import json
import signal
import sys

import anyio

from sandbox.faults.control import control
from sandbox.faults.proxy import FaultProxy


async def serve(options: argparse.Namespace) -> None:
    """Relay until a signal arrives. One line of JSON on stdout names both addresses once it is ready."""
    host, _, port = options.target.rpartition(":")
    proxy = FaultProxy(
        host,
        int(port),
        port=options.port,
        protocol="tcp" if options.tcp else "http",
        rewrite_authority=options.rewrite_authority,
        seed=options.seed,
    )
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with proxy, control(proxy, options.control_port) as control_url:
            sys.stdout.write(json.dumps({"endpoint": proxy.endpoint, "control": control_url}) + "\n")
            sys.stdout.flush()
            async for _ in signals:
                return


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.faults", description="A proxy that breaks what passes.")
    parser.add_argument("target", help="HOST:PORT to relay to")
    parser.add_argument("--port", type=int, default=0, help="port to listen on, 0 for a free one")
    parser.add_argument("--control-port", type=int, default=0, help="port of the control endpoint, 0 for a free one")
    parser.add_argument("--tcp", action="store_true", help="relay opaque bytes instead of HTTP")
    parser.add_argument("--rewrite-authority", action="store_true", help="name the proxy where answers name the target")
    parser.add_argument("--seed", type=int, default=0, help="decides about rules with a probability")
    anyio.run(serve, parser.parse_args())


if __name__ == "__main__":
    main()

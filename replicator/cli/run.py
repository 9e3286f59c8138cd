"""`replicator run`: the daemon with its HTTP interface, stopped by signals."""

import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import structlog

from connectors import registry
from replicator.api.app import create_app
from replicator.api.server import bind, serve, url_of
from replicator.config.loading import load_config
from replicator.config.models import LogConfig, MigrationConfig
from replicator.engine.daemon import Daemon
from replicator.state.sqlite import SqliteStore
from replicator.telemetry import Metrics, configure_logging


def run_daemon(path: Path, *, adopt: bool) -> bool:
    """Returns True when everything read was finished and saved. Raises ConfigurationError."""
    config = load_config(path, registry())
    set_up_logging(config.log)
    with bind(config.http.listen) as listening:
        return anyio.run(_run, config, listening, adopt)


def set_up_logging(config: LogConfig) -> None:
    """As the config says; `auto` looks at standard error."""
    as_json = config.format == "json" or (config.format == "auto" and not sys.stderr.isatty())
    configure_logging(as_json=as_json, level=config.level)


async def _run(config: MigrationConfig, listening: socket.socket, adopt: bool) -> bool:
    metrics = Metrics()
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:  # before anything that takes time
        async with SqliteStore(config.state.path) as store:
            daemon = Daemon(config, registry(), store, metrics, adopt=adopt)
            app = create_app(daemon, metrics.registry)
            async with anyio.create_task_group() as services:
                services.start_soon(serve, app, listening)
                services.start_soon(_obey, signals, daemon)
                structlog.get_logger().info("http interface", url=url_of(listening))
                drained = await daemon.run()
                services.cancel_scope.cancel()
    structlog.get_logger().info("stopped", drained=drained)
    return drained


async def _obey(signals: AsyncIterator[signal.Signals], daemon: Daemon) -> None:
    async for number in signals:
        structlog.get_logger().info("stopping", signal=signal.Signals(number).name)
        daemon.stop()

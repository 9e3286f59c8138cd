"""`replicator run`: the daemon with its HTTP interface, stopped by signals, or ended by having copied everything."""

import signal
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio
import structlog

from connectors import registry
from replicator.api.app import interface
from replicator.api.server import bind, serve, url_of
from replicator.cli import ending
from replicator.cli.ending import Exit
from replicator.cli.once import Asked, conclude, show_progress
from replicator.cli.report import save
from replicator.cli.workers import as_worker, end_with_parent, run_workers
from replicator.config.loading import load_config
from replicator.config.models import MigrationConfig
from replicator.engine.daemon import Daemon
from replicator.engine.verdict import is_over
from replicator.state.moving import require_usable
from replicator.state.opening import open_state
from replicator.telemetry import Metrics, configure_logging


def run_daemon(path: Path, *, adopt: bool, asked: Asked, workers: int = 1, worker: int | None = None) -> Exit:
    """OK when everything read was finished and saved or, where it is only copied, when that was found equal.

    What ends it otherwise is raised, unless the log is JSON: then it is the log's last line, since whoever reads that
    finds plain text nowhere. A config that cannot be read is raised in any case: it cannot say yet what the log is.
    `worker` is its place among several of this host, None where it is alone.
    """
    config = load_config(path, registry())
    asked.require_fitting(config)
    if worker is not None:
        config = as_worker(config, worker)
        end_with_parent()
    log_as_json = config.log.format == "json" or (config.log.format == "auto" and not sys.stderr.isatty())
    configure_logging(as_json=log_as_json, level=config.log.level)
    if workers > 1:
        return run_workers(path, workers, asked.options(adopt=adopt), ends=config.is_copied_once)
    try:
        with bind(config.http.listen) as listening:
            return anyio.run(partial(_run, config, listening, adopt=adopt, asked=asked))
    except Exception as error:
        if log_as_json:
            return ending.log(error)
        raise


async def _run(config: MigrationConfig, listening: socket.socket, *, adopt: bool, asked: Asked) -> Exit:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:  # before anything that takes time
        kinds = registry()
        async with open_state(config.state, kinds) as store:
            await require_usable(store, config.state.place)
            daemon = Daemon(config, kinds, store, Metrics(), adopt=adopt, repair=asked.repair)
            if not config.is_copied_once:
                return Exit.OK if await _replicate(daemon, listening, signals) else Exit.NOT_OK
            save(asked.folder(config), {}, "--report")  # hours later is too late to find that it cannot be written
            if not adopt and await is_over(config, store):
                structlog.get_logger().info("copied and found equal before: nothing is left to be done")
                return await conclude(config, store, None, asked)
            await _replicate(daemon, listening, signals, shows=not asked.as_json)
            return await conclude(config, store, daemon, asked)


async def _replicate(
    daemon: Daemon, listening: socket.socket, signals: AsyncIterator[signal.Signals], *, shows: bool = False
) -> bool:
    """Until it is stopped or has ended; what `Daemon.run` returns."""
    app = interface(daemon)
    async with anyio.create_task_group() as services:
        services.start_soon(serve, app, listening)
        services.start_soon(_obey, signals, daemon)
        if shows:
            services.start_soon(show_progress, daemon)
        structlog.get_logger().info("http interface", url=url_of(listening))
        drained = await daemon.run()
        services.cancel_scope.cancel()
    structlog.get_logger().info("stopped", drained=drained)
    return drained


async def _obey(signals: AsyncIterator[signal.Signals], daemon: Daemon) -> None:
    async for number in signals:
        structlog.get_logger().info("stopping", signal=signal.Signals(number).name)
        daemon.stop()

"""Logging set up once for the process: JSON for machines, readable lines on a terminal."""

import logging
import sys
from datetime import datetime
from typing import TextIO

import structlog

CHATTY_LIBRARIES = ("azure", "aiobotocore", "botocore", "asyncio", "uvicorn")
"""Libraries that log every request, which would bury our own lines and may name keys."""


def configure_logging(*, as_json: bool, level: str = "info", stream: TextIO | None = None) -> None:
    """Routes structlog and the standard library to `stream` (standard error unless told otherwise)."""
    out = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_instants,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    exceptions = [structlog.processors.format_exc_info] if as_json else []
    structlog.configure(
        processors=[*shared, *exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_plain, *exceptions, renderer])
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for library in CHATTY_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def _with_instants(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Spells instants as everywhere else."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in event.items()}


def _plain(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drops what only structlog's own bridge needs."""
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _method, event)

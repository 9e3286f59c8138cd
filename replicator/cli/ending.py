"""How a process ends: its exit codes, and what is said of an error, in one place alone."""

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from enum import IntEnum

import structlog
import typer

from replicator.errors import ConfigurationError, ForeignOwnerError, LeaseLostError


class Exit(IntEnum):
    """What the exit code says. ERROR also stands for a command line that makes no sense."""

    OK = 0
    NOT_OK = 1
    ERROR = 2
    BUG = 3


def end_when_terminated() -> None:
    """Where it is the first process of its container, SIGTERM ends it with 143, as it would anywhere else.

    The kernel spares that one process every signal that it does not handle. What handles SIGTERM in its own way, such
    as the daemon, replaces this; until it has been loaded, and in all other commands, nothing else would.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def say(error: Exception) -> Exit:
    """On standard error, for people: a line for each error, or the traceback of a bug. The code to end with."""
    code, messages = _judge(error)
    if code is Exit.BUG:
        traceback.print_exception(error)
    for message in messages:
        typer.echo(f"replicator: {message}", err=True)
    return code


def log(error: Exception) -> Exit:
    """The same as lines of the log, for machines."""
    code, messages = _judge(error)
    logger = structlog.get_logger().bind(exit_code=int(code))
    if code is Exit.BUG:
        logger.critical("ended by a bug", exc_info=error)
    for message in messages:
        logger.error("ended by an error", error=message)
    return code


def _judge(error: Exception) -> tuple[Exit, list[str]]:
    """See `replicator.errors`. What an operator can act on has a message, said once however many tasks it ended;
    anything else is a bug.
    """
    found = list(_leaves(error))
    if not all(isinstance(leaf, ConfigurationError | ForeignOwnerError | LeaseLostError) for leaf in found):
        return Exit.BUG, []
    healed = all(isinstance(leaf, LeaseLostError) for leaf in found)
    return Exit.NOT_OK if healed else Exit.ERROR, list(dict.fromkeys(map(str, found)))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors themselves, whatever task groups they came through."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error

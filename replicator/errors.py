"""Every error the engine knows, one class for each reaction.

    ReplicatorError
    ├── ConfigurationError   the process ends with exit code 2, at the start before any record is written (later only
    │                        where another process keeps the state store locked, or its disk is full); the message
    │                        names the field or resource and the fix
    ├── TransientError       the call is repeated with back-off and jitter, for ever, and health is degraded meanwhile;
    │   │                    at the start, after a few attempts, it becomes a ConfigurationError
    │   ├── ThrottledError   the same, and the target's concurrency or the source's budget gives way
    │   ├── AmbiguousError   the same, but the request may still take effect: its keys are suspect
    │   ├── AccessError      the same; its own class since at the start the fix is another: credentials, permissions
    │   └── UnreachableError the same, likewise: address, proxy, network
    ├── PositionLostError    the pipeline stops, is called failed, and names the gap and the repair; nothing is skipped.
    │                        Other pipelines and the process go on
    ├── LeaseLostError       the process ends with exit code 1: another daemon has taken the migration over. A restart
    │                        is safe, and refused while that one runs
    └── ForeignOwnerError    the process ends with exit code 2: another daemon has written a target's marker, or the
                             target is another one of the same name

A single change that cannot be applied is no error but a returned `Rejection`. Anything else that is raised, or one of
these where it is not caught as said above, is a bug and ends the process with exit code 3, which is safe at any
instruction.
"""

from collections.abc import Sequence


class ReplicatorError(Exception):
    """Root of the tree; never raised itself."""


class ConfigurationError(ReplicatorError):
    """Something the operator must change.

    `where` names the config field or the resource, `fix` what to do next. `each` holds the single mistakes where this
    is about several.
    """

    def __init__(self, where: str, problem: str, fix: str, *, each: Sequence["ConfigurationError"] = ()) -> None:
        super().__init__(f"{where}: {problem}. {fix}")
        self.where = where
        self.problem = problem
        self.fix = fix
        self.each = tuple(each)


class TransientError(ReplicatorError):
    """A call failed without effect and may be repeated.

    `retry_after_s` is the service's own wish, in seconds, where it gave one.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ThrottledError(TransientError):
    """The service refused the call because too much was asked of it; it had no effect."""


class AmbiguousError(TransientError):
    """The call's outcome is unknown: it may have taken effect, or may do so later."""


class AccessError(TransientError):
    """Credentials are missing or not allowed to do this. They may be mended while we wait."""


class UnreachableError(TransientError):
    """No connection to the service."""


class PositionLostError(ReplicatorError):
    """Changes between a position and what the source still holds are gone."""


class LeaseLostError(ReplicatorError):
    """The lease is over, or too near its end for another request."""


class ForeignOwnerError(ReplicatorError):
    """The target's marker was written by somebody else, or the target is not the one that was claimed."""


def cannot_be_reached(where: str, error: Exception, *, check: str) -> ConfigurationError:
    """What an operator is told at the start of a service that is not there. `check`: the fields that lead to it."""
    return ConfigurationError(
        where, f"cannot be reached ({error})", f"Check {check}, proxy and the network, then start again"
    )

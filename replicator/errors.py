"""Every error the engine knows, one class for each reaction.

    ReplicatorError
    ├── ConfigurationError   exit 2 before anything is written; the message names the field and the fix
    ├── TransientError       repeat with back-off and jitter for ever; health is degraded meanwhile
    │   ├── ThrottledError   the same, and the target's concurrency or the source's budget gives way
    │   └── AmbiguousError   the same, but the request may still take effect: its keys are suspect
    ├── PositionLostError    stop the pipeline, name the gap and the repair; never skip
    ├── LeaseLostError       stop the partition quietly; another owner may be at work
    └── ForeignOwnerError    stop the pipeline: somebody else has written the target's marker

A single change that cannot be applied is no error but a returned `Rejection`. Anything else that is raised is a bug
and ends the process, which is safe at any instruction.
"""


class ReplicatorError(Exception):
    """Root of the tree; never raised itself."""


class ConfigurationError(ReplicatorError):
    """Something the operator must change.

    `where` names the config field or the resource, `fix` what to do next.
    """

    def __init__(self, where: str, problem: str, fix: str) -> None:
        super().__init__(f"{where}: {problem}. {fix}")
        self.where = where
        self.problem = problem
        self.fix = fix


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


class PositionLostError(ReplicatorError):
    """Changes between a position and what the source still holds are gone."""


class LeaseLostError(ReplicatorError):
    """The lease is over, or too near its end for another request."""


class ForeignOwnerError(ReplicatorError):
    """The target's marker was written by somebody else."""

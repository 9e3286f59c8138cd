"""What a hook may raise into an application's call."""


class NotReplicatedError(Exception):
    """The write was made at the source, and is not known to be at the target.

    It will be there in time, unless `reason` says that the target refuses it. `pipeline` is the one that was asked.
    """

    def __init__(self, pipeline: str, reason: str) -> None:
        super().__init__(
            f"the write was made, but is not known to be at the target of pipeline {pipeline}: {reason or 'no answer'}"
        )
        self.pipeline = pipeline
        self.reason = reason


class UnknownTablesError(Exception):
    """Which tables are migrated is not known, so the write was not sent: the daemon has not answered yet."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the write was not sent: which tables are migrated is not known: {reason}")
        self.reason = reason

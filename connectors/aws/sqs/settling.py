"""Batch operations on receipts, each entry until the service has said what became of it."""

from collections.abc import Mapping, Sequence

from connectors.aws.calls import Caller, Operation
from connectors.aws.errors import THROTTLES
from connectors.aws.sqs.holding import Receipt
from replicator.delivery import retrying
from replicator.errors import ThrottledError, TransientError
from replicator.telemetry import PipelineTelemetry

MOST_MESSAGES = 10
"""In a receive, and in a batch of anything else."""

OVER = frozenset(
    {
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
    }
)
"""How the service says that a receipt settles nothing any more: the message comes again, or was deleted."""


class Settling:
    """Of one queue."""

    def __init__(self, caller: Caller, url: str, telemetry: PipelineTelemetry) -> None:
        self._caller = caller
        self._url = url
        self._telemetry = telemetry

    async def each(
        self, operation: Operation, entries: Sequence[tuple[Receipt, Mapping[str, object]]]
    ) -> list[Receipt]:
        """A batch operation on any number of receipts, repeated where it fails; returns those whose receipt is over."""
        over: list[Receipt] = []
        for start in range(0, len(entries), MOST_MESSAGES):
            over += await self._batch(operation, entries[start : start + MOST_MESSAGES])
        return over

    async def _batch(
        self, operation: Operation, entries: Sequence[tuple[Receipt, Mapping[str, object]]]
    ) -> list[Receipt]:
        pending = {str(number): entry for number, entry in enumerate(entries)}
        over: list[Receipt] = []

        async def attempt() -> None:
            told = [{"Id": id_, "ReceiptHandle": r.handle, **more} for id_, (r, more) in pending.items()]
            parameters = {"QueueUrl": self._url, "Entries": told}
            answer = await self._caller.once(operation, parameters)
            for entry in answer.get("Successful", []):
                pending.pop(entry["Id"], None)
            codes = {entry["Id"]: str(entry.get("Code", "")) for entry in answer.get("Failed", [])}
            over.extend(pending.pop(id_)[0] for id_, code in codes.items() if code in OVER and id_ in pending)
            if pending:
                raise _failure(operation.__name__, codes.get(next(iter(pending)), "no answer"))

        await retrying(attempt, self._telemetry.source_failed)
        return over


def _failure(operation: str, code: str) -> TransientError:
    return (ThrottledError if code in THROTTLES else TransientError)(f"{operation}: {code}")

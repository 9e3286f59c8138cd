"""When a queue that is received to its end is empty."""

from connectors.aws.sqs.queue_time import Counts
from connectors.aws.sqs.receiving import Receiver
from replicator.clocks import elapsed_s
from replicator.telemetry import PipelineTelemetry

LEAST_READINGS = 3

READING_INTERVAL_S = 1.0
"""Of a shorter wait several receivers share a reading."""


class Drain:
    """Shared by the receivers of a queue. It is empty when several readings in a row, over `span_s`, have found nothing
    to receive, nothing delayed, and nothing in flight but what was rejected and is parked. What waits behind that in
    its group stays there: nobody can receive it before the other is mended.

    `over` is taken back when a receive that was under way brings something after all.
    """

    def __init__(self, receiver: Receiver, telemetry: PipelineTelemetry, span_s: float) -> None:
        self.over = False
        self._receiver = receiver
        self._telemetry = telemetry
        self._span_s = span_s
        self._since: float | None = None
        self._readings = 0
        self._read_at = float("-inf")
        self._told = False

    def busy(self) -> None:
        """There was something."""
        self.over = False
        self._since = None
        self._readings = 0

    async def look(self) -> None:
        """After a receive that brought nothing. Raises AwsRefusal."""
        now = elapsed_s()
        if now - self._read_at < min(READING_INTERVAL_S, self._span_s / LEAST_READINGS):
            return
        self._read_at = now
        counts = await self._receiver.counts()
        parked = self._receiver.parked
        receivable = counts.visible if not (parked and self._receiver.queue.ordered) else 0
        if receivable or counts.delayed or counts.in_flight > parked or self._receiver.unsettled:
            self.busy()
            self._tell(counts)
            return
        self._since = now if self._since is None else self._since
        self._readings += 1
        self.over = self._readings >= LEAST_READINGS and now - self._since >= self._span_s

    def _tell(self, counts: Counts) -> None:
        """Once: what is delayed comes by itself, what somebody else has received may."""
        if not self._told:
            self._told = True
            self._telemetry.log.info(
                "nothing can be received, but the queue is not empty: waiting",
                visible=counts.visible,
                delayed=counts.delayed,
                in_flight=counts.in_flight,
                parked=self._receiver.parked,
            )

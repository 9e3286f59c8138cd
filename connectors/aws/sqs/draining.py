"""When a queue that is received to its end is empty."""

from connectors.aws.sqs.queue_time import Counts
from connectors.aws.sqs.receiving import Receiver
from replicator.clocks import elapsed_s
from replicator.emptiness import Emptiness
from replicator.telemetry import PipelineTelemetry


class Drain:
    """Shared by the receivers of a queue. It is empty when several readings in a row, over `span_s`, have found nothing
    to receive, nothing delayed, and nothing in flight but what was rejected and is parked. What waits behind that in
    its group stays there: nobody can receive it before the other is mended.

    `over` is taken back when a receive that was under way brings something after all.
    """

    def __init__(self, receiver: Receiver, telemetry: PipelineTelemetry, span_s: float) -> None:
        self._receiver = receiver
        self._telemetry = telemetry
        self._emptiness = Emptiness(span_s)
        self._told = False

    @property
    def over(self) -> bool:
        """Whether nothing is left that could be received."""
        return self._emptiness.is_shown

    def busy(self) -> None:
        """There was something."""
        self._emptiness.begin_again()

    async def look(self) -> None:
        """After a receive that brought nothing; several receivers share a reading. Raises AwsRefusal."""
        now = elapsed_s()
        if not self._emptiness.is_due(now):
            return
        self._emptiness.asked(now)
        counts = await self._receiver.counts()
        parked = self._receiver.parked
        receivable = counts.visible if not (parked and self._receiver.queue.ordered) else 0
        is_left = receivable or counts.delayed or counts.in_flight > parked or self._receiver.unsettled
        self._emptiness.answered(now, is_empty=not is_left)
        if is_left:
            self._tell(counts)

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

"""What a queue of notifications proves about the bucket. Pure.

S3 sends a notification some time after the event, typically seconds, now and then minutes. It is taken to be no more
than `margin`; so when all that was sent before an instant has been received, all that happened a margin before it is
known. An event that contradicts an earlier claim is counted as late, and widens the margin.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from connectors.aws.slack import Slack

MOST_SLACK = timedelta(hours=1)
"""The margin grows by no more than this when events keep coming late."""


class EventTime:
    """Follows one queue; `claimed` is the instant before which every event has been received, as far as is known."""

    def __init__(self, margin: timedelta) -> None:
        self.claimed: datetime | None = None
        self._margin = margin
        self._slack = Slack(MOST_SLACK)
        self._begun = False

    def resume(self, claim: datetime | None) -> datetime | None:
        """What was claimed when a receiver was last saved. Returns what its queue is taken to have claimed."""
        if claim is None:
            return None
        if not self._begun and (self.claimed is None or claim < self.claimed):
            self.claimed = claim
        return claim + self._margin

    def events(self, moments: Sequence[datetime]) -> int:
        """Events of these times were received; returns how many are older than what was claimed."""
        claimed = self.claimed
        if claimed is None or not moments:
            return 0
        late = sum(moment < claimed for moment in moments)
        if late:
            self._slack.late(claimed - min(moments))
        return late

    def claim(self, of_queue: datetime | None) -> datetime | None:
        """What may be claimed, given what may be of the queue: never less than before."""
        if of_queue is None:
            return self.claimed
        self._begun = True
        claim = of_queue - self._margin - self._slack.now
        if self.claimed is None or claim > self.claimed:
            self.claimed = claim
            self._slack.claimed()
        return self.claimed

"""How much less is claimed about time since something came later than a claim allowed. Pure."""

from datetime import timedelta

NOTHING = timedelta(0)


class Slack:
    """Widened to what would have kept the claim true, and no further, at most to `most`.

    Claims never go back, so what comes late is often many records that contradict one and the same claim: they show
    together what the latest of them does.
    """

    def __init__(self, most: timedelta) -> None:
        self.now = NOTHING
        self._most = most
        self._of_claim = NOTHING

    def claimed(self) -> None:
        """A claim was raised, with the slack there is now."""
        self._of_claim = self.now

    def late(self, by: timedelta) -> None:
        """Something is so much older than the claim."""
        self.now = min(self._most, max(self.now, self._of_claim + by))

"""When approximate readings show that something is empty. Pure."""

LEAST_READINGS = 3

READING_INTERVAL_S = 1.0
"""From one reading to the next. Of a shorter span several are taken all the same."""


class Emptiness:
    """Shown by several readings in a row, over at least `span_s`, that have found nothing: a single one may be old, or
    of a part only. Instants are by `elapsed_s`.
    """

    def __init__(self, span_s: float) -> None:
        self.is_shown = False
        self._span_s = span_s
        self._since: float | None = None
        self._readings = 0
        self._read_at = float("-inf")

    @property
    def interval_s(self) -> float:
        """From one reading to the next."""
        return min(READING_INTERVAL_S, self._span_s / LEAST_READINGS)

    def is_due(self, now: float) -> bool:
        """Whether another reading would count."""
        return now - self._read_at >= self.interval_s

    def asked(self, now: float) -> None:
        """A reading has begun."""
        self._read_at = now

    def answered(self, asked_at: float, *, is_empty: bool) -> None:
        """A reading has ended."""
        if not is_empty:
            self.begin_again()
            return
        self._since = asked_at if self._since is None else self._since
        self._readings += 1
        self.is_shown = self._readings >= LEAST_READINGS and asked_at - self._since >= self._span_s

    def begin_again(self) -> None:
        """There was something, or nobody has looked: nothing is shown any more."""
        self.is_shown = False
        self._since = None
        self._readings = 0

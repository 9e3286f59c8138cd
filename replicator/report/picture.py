"""The lag over time as a picture: an SVG that any width may stretch, with its scales as text beside it. Pure."""

import math
from collections.abc import Iterator

from replicator.report.model import Lag, LagPoint
from replicator.report.words import duration, instant

WIDTH, HEIGHT = 1000.0, 240.0

TICKS_S = (0.0, 1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0, 86_400.0, 864_000.0)

LEAST_TOP_S = 10.0
"""The scale reaches at least so far, or noise would look like trouble."""


def lag_picture(lag: Lag, name: str) -> str:
    """A figure with its caption; name is safe for HTML. The scale is logarithmic: seconds and hours both show."""
    if not lag.points:
        return '<p class="unknown">No lag has been seen yet.</p>'
    top = max(LEAST_TOP_S, *(p.worst_s or 0.0 for p in lag.points))
    began = lag.points[0].at.timestamp()
    span = max(lag.step_s, lag.points[-1].at.timestamp() + lag.step_s - began)
    drawn = _Scale(began, span, top, lag.step_s)
    ticks = [t for t in TICKS_S if t <= top]
    grid = "".join(f'<path class="grid" d="M0 {drawn.y(t):.1f}H{WIDTH:.0f}"/>' for t in ticks)
    labels = "".join(f'<span style="top:{drawn.y(t) / HEIGHT * 100:.1f}%">{_tick(t)}</span>' for t in ticks)
    shapes = "".join(drawn.unknown(p) for p in lag.points if p.unknown)
    lines = "".join(f'<path class="lag" d="{drawn.line(run)}"/>' for run in _runs(lag))
    end = lag.points[-1].at
    return f"""<figure class="lag-figure"><div class="plot"><div class="scale" aria-hidden="true">{labels}</div>
<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" role="img" aria-label="{_told(lag, name)}">
{shapes}{grid}{lines}</svg></div>
<div class="ends" aria-hidden="true">{instant(lag.points[0].at)}{instant(end)}</div>
<figcaption>The worst lag of every {duration(lag.step_s)}, logarithmic. Worst of all:
<strong>{duration(lag.worst_s)}</strong>. Shaded: unknown, as while copying. Empty: not observed.</figcaption>
</figure>"""


class _Scale:
    """From moments and seconds to places in the picture."""

    def __init__(self, began: float, span_s: float, top_s: float, step_s: float) -> None:
        self._began, self._span_s, self._top_s, self._step_s = began, span_s, top_s, step_s

    def x(self, at_s: float) -> float:
        return (at_s - self._began) / self._span_s * WIDTH

    def y(self, lag_s: float) -> float:
        """A little room is left above and below, so that no line is cut."""
        return 4 + (HEIGHT - 8) * (1 - math.log1p(lag_s) / math.log1p(self._top_s))

    def unknown(self, point: LagPoint) -> str:
        x = self.x(point.at.timestamp())
        width = self._step_s / self._span_s * WIDTH
        return f'<rect class="no-lag" x="{x:.1f}" y="0" width="{width:.2f}" height="{HEIGHT:.0f}"/>'

    def line(self, run: list[LagPoint]) -> str:
        """Steps: each point holds for its stretch."""
        parts = []
        for point in run:
            left = self.x(point.at.timestamp())
            parts.append(
                f"{left:.1f} {self.y(point.worst_s or 0):.1f}H{left + self._step_s / self._span_s * WIDTH:.1f}"
            )
        return "M" + "L".join(parts)


def _runs(lag: Lag) -> Iterator[list[LagPoint]]:
    """Points with a known lag that follow each other without a gap."""
    run: list[LagPoint] = []
    for point in lag.points:
        is_next = run and (point.at - run[-1].at).total_seconds() < 1.5 * lag.step_s
        if run and not (is_next and point.worst_s is not None):
            yield run
            run = []
        if point.worst_s is not None:
            run.append(point)
    if run:
        yield run


def _tick(seconds: float) -> str:
    return "1 s" if seconds == 1 else duration(seconds) if seconds else "0"


def _told(lag: Lag, name: str) -> str:
    """The picture in words."""
    known = [p.worst_s for p in lag.points if p.worst_s is not None]
    last = duration(known[-1]) if known else "unknown"
    worst = duration(lag.worst_s) if lag.worst_s is not None else "unknown"
    return f"Lag of {name} over time: worst {worst}, latest {last}"

"""How figures and instants are written for people, and text for HTML. Pure."""

from datetime import UTC, datetime
from html import escape

UNKNOWN = '<span class="unknown">unknown</span>'
NOT_YET = '<span class="unknown">not done yet</span>'

KILO = 1000
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def text(value: str) -> str:
    """Made safe for HTML, what no eye can see included."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in value))


def number(value: float | None) -> str:
    """With separators; a small one with its fraction."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.3g}"


def size(value: float | None) -> str:
    """Bytes in their largest unit."""
    if value is None:
        return UNKNOWN
    shown, power = float(f"{value:.3g}"), 0
    while shown >= KILO and power < len(UNITS) - 1:
        shown, power = shown / KILO, power + 1
    return f"{shown:,.3g} {UNITS[power]}"


def rate(value: float | None) -> str:
    """Per second."""
    return UNKNOWN if value is None else f"{number(value)}/s"


def duration(seconds: float | None) -> str:
    """In the two largest units that matter."""
    if seconds is None:
        return UNKNOWN
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < MINUTE_S:
        return f"{rounded} s"
    for unit, name, lower, lower_name in ((DAY_S, "d", HOUR_S, "h"), (HOUR_S, "h", 60, "min"), (60, "min", 1, "s")):
        if rounded >= unit:
            whole, left = divmod(rounded, unit)
            return f"{whole} {name} {left // lower} {lower_name}" if left // lower else f"{whole} {name}"
    raise AssertionError(seconds)


def instant(at: datetime | None, otherwise: str = UNKNOWN) -> str:
    """In UTC, to the second; machines find it whole."""
    if at is None:
        return otherwise
    utc = at.astimezone(UTC)
    return f'<time datetime="{at.isoformat()}"><span>{utc:%Y-%m-%d}</span> <span>{utc:%H:%M:%S}</span></time>'

"""Durations as ISO 8601 writes them: `PT1M`, `P7DT0.5S`."""

from __future__ import annotations

import re
from typing import Final

FOR_EVER: Final = "P10675199DT2H48M5.4775807S"
"""The longest duration the service knows, which it gives where there is no limit."""

_LONGEST_S: Final = 10_675_199 * 86_400
_ISO: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS: Final = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def parse_duration(text: str) -> float | None:
    """Seconds; None for one that means for ever. Raises ValueError."""
    match = _ISO.fullmatch(text)
    if match is None or text in {"P", "PT"}:
        raise ValueError(f"{text!r} is no duration")
    seconds = sum(float(part) * _SECONDS[unit] for unit, part in match.groupdict().items() if part is not None)
    return None if seconds >= _LONGEST_S else seconds


def format_duration(seconds: float | None) -> str:
    """Of so many seconds; None is for ever."""
    return FOR_EVER if seconds is None else f"PT{seconds:.3f}".rstrip("0").rstrip(".") + "S"

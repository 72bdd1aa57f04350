"""One point of time in a text: plain numbers, units, clocks and shares of a duration, as a pattern and in seconds."""

import re
from math import inf

NUMBER = r"(?<![\w.,:])-?\d+(?:\.\d+|,\d{1,2}(?!\d))?(?![\d:]|[.,]\d)"
"""`12`, `12.5` and, on the Continent, `12,5`; no piece of a longer number, date or clock."""
CLOCK = r"(?<![\w.,:])\d{1,3}:[0-5]\d(?::[0-5]\d)?(?:[.,]\d{1,3})?(?![\d:])"
"""`0:12`, `00:00:12,500`."""
UNITS = {
    r"milliseconds?|msecs?|ms": 0.001,
    r"seconds?|secs?|s": 1.0,
    r"minutes?|mins?": 60.0,
    r"hours?|hrs?|h": 3600.0,
}
UNIT = rf"(?:(?:{'|'.join(UNITS)})\b\.?|%|percent\b)"
COMPOUND = r"(?<![\w.,:])\d+\s*(?:m|mins?|minutes?)\s*(?:and\s+)?\d+(?:\.\d+)?\s*(?:s|secs?|seconds?)\b"
"""`1m20s`, `1 minute and 20 seconds`."""
TIME = rf"(?:{CLOCK}|{COMPOUND}|{NUMBER}(?:\s*-?{UNIT})?)"


def seconds_of(time: str, duration: float) -> float:
    """Seconds of one time as `TIME` matches it; infinite for a share of a duration that is infinite, not known."""
    time = time.replace(",", ".")
    if ":" in time:
        total = 0.0
        for piece in time.split(":"):
            total = total * 60 + float(piece)
        return total
    if share := re.match(r"(-?[\d.]+)\s*-?(?:%|percent)", time):
        return float(share[1]) * duration / 100 if duration < inf else inf
    return sum(float(value) * _scale(unit) for value, unit in re.findall(r"(-?\d+(?:\.\d+)?)[\s-]*([a-z]*)", time))


def _scale(unit: str) -> float:
    return next((scale for names, scale in UNITS.items() if re.fullmatch(names, unit)), 60.0 if unit == "m" else 1.0)


def has_unit(time: str) -> bool:
    """Whether one time is more than a number."""
    return re.fullmatch(NUMBER, time) is None

"""Times, durations and sizes as a person reads and types them.

Rule: on the screen a time is local, with its offset; for machines it is UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"([0-9]{1,6})(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc(microseconds: int) -> str:
    """Return a time as ISO 8601 in UTC with microseconds: `2026-11-23T04:14:36.000001Z`."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def local(microseconds: int) -> str:
    """Return a time as the clock on the wall has it, with its offset from UTC."""
    moment = (_EPOCH + timedelta(microseconds=microseconds)).astimezone()
    return moment.isoformat(sep=" ", timespec="seconds")


def parse_time(text: str) -> int:
    """
    Return the microseconds that *text* means: ISO 8601 (local without an offset), or `2h` ago.

    Raises `ValueError`.
    """
    if ago := _AGO.fullmatch(text):
        moment = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        moment = datetime.fromisoformat(text)
    return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND


def duration(microseconds: int | None) -> str:
    """Return a duration in the unit that it is easiest to read in."""
    if microseconds is None:
        return ""
    seconds = microseconds / 1e6
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def size(count: int | None) -> str:
    """Return a number of bytes in the unit that it is easiest to read in (powers of 1000)."""
    if count is None:
        return ""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{count} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def plural(count: int, noun: str) -> str:
    """Return *count* with its noun, in the plural where it is one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

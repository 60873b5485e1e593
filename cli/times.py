"""Positions on the timeline as people write them."""

from __future__ import annotations

import math
import re

from dimos_record.errors import OptionError

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)\s*(ms|s|min|m|h)?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+\.?\d*)")


def parse_time(text: str, option: str) -> float:
    """Seconds of `12.5`, `90s`, `2m`, `1:23.5` or `1:02:03`.

    Raises:
        OptionError: it is none of these.
    """
    wanted = text.strip()
    if found := _CLOCK.fullmatch(wanted):
        hours, minutes, seconds = found.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    if found := _NUMBER.fullmatch(wanted):
        return float(found[1]) * _UNITS[found[2] or ""]
    raise OptionError(f"{option}: {text!r} is not a time; write for example 12.5, 90s or 1:23.5")


def parse_position(text: str, option: str, duration_s: float) -> float:
    """Seconds from the start of a recording; `-10` is 10 s before its end.

    More than the whole recording before its end is its start.

    Raises:
        OptionError: it is not a time.
    """
    wanted = text.strip()
    if wanted.startswith("-"):
        return max(0.0, duration_s - parse_time(wanted[1:], option))
    return parse_time(wanted, option)


def parse_rate(text: str, option: str) -> float:
    """`2`, `0.5`, `2x`, or `max`, which is infinite.

    Raises:
        OptionError: it is no number above 0.
    """
    try:
        rate = math.inf if text == "max" else float(text.removesuffix("x"))
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise OptionError(f"{option} {text!r}: write a number above 0, such as 2 or 0.5, or max")
    return rate


def clock(position_s: float) -> str:
    """`0:04.2`, `1:02:03`: a position with the precision that fits its size."""
    if position_s < 3600:
        tenths = int(position_s * 10)
        return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"
    minutes, seconds = divmod(int(position_s), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"

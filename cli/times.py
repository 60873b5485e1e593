"""Positions on the timeline as people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dimos_record.cli.text import moment, printable
from dimos_record.cli.wall_clock import is_wall_clock, parse_wall_clock
from dimos_record.errors import OptionError

if TYPE_CHECKING:
    from dimos_record.store.base import Marker, StoreReader

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)\s*(ms|s|min|m|h)?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+\.?\d*)")
_S = 1_000_000_000
_MOST_S = 9e9
"""Nanoseconds of more do not fit into the integers of a recording."""
_EXAMPLES = "12.5, 90s, 1:23.5, +10, -10 (from the end), start, end"
_MOST_LISTED = 20

MINUS = "\N{MINUS SIGN}"
"""Counts as a minus; `NegativeTimes` puts it where the command line would see an option."""


@dataclass(frozen=True)
class Timescale:
    """What positions in a recording are measured against, in seconds from its start as recorded."""

    end_s: float
    """Position of the last message."""
    start_s: float = 0.0
    """Position of the first message that is there; 0 unless the start was cut off."""
    origin_ns: int | None = None
    """UNIX time of position 0; None where it is not known, or nothing is there."""
    markers: Sequence[Marker] = ()
    name: str = "the recording"

    @classmethod
    def of(cls, reader: StoreReader) -> Timescale:
        """That of a recording."""
        span, markers = reader.span_ns(), tuple(reader.markers())
        if span is None:
            return cls(0.0, markers=markers, name=reader.name)
        origin_ns = reader.origin_ns()
        start_s, end_s = ((time_ns - origin_ns) / _S for time_ns in span)
        return cls(end_s, start_s, origin_ns, markers, reader.name)

    def position(self, time_ns: int) -> float:
        """Where a UNIX time (ns) is, in seconds from the start as recorded."""
        return (time_ns - (self.origin_ns or 0)) / _S


def parse_time(text: str, option: str) -> float:
    """Seconds of `12.5`, `90s`, `2m`, `1:23.5` or `1:02:03`.

    Raises:
        OptionError: it is none of these.
    """
    found = _seconds(text.strip())
    if found is None:
        raise OptionError(f"{option}: {text!r} is not a time; write for example 12.5, 90s, 1:23.5")
    return found


def parse_shift(text: str, option: str) -> float:
    """Seconds of a time as `parse_time` takes it that may have a sign: `-0.05`, `+50ms`.

    Raises:
        OptionError: it is none.
    """
    wanted = _plain(text)
    sign = -1.0 if wanted.startswith("-") else 1.0
    found = _seconds(wanted[1:] if wanted.startswith(("-", "+")) else wanted)
    if found is None:
        raise OptionError(f"{option}: {_plain(text)!r} is not a time; write for example 0.5, -50ms")
    return sign * found


def parse_position(text: str, option: str, scale: Timescale, after_s: float | None = None) -> float:
    """Seconds from the start of a recording as recorded.

    That is a time as `parse_time` takes it; `-10`, which is 10 s before the end (the start, where
    that is less than the recording has); `+10`, which is 10 s after `after_s`, or after the start;
    `start` and `end`; a time of day, as `2026-11-20T14:03:05`, `@14:03:05` on the day of the
    recording or UNIX seconds `@1763649785.2`; or the name of a marker.

    Raises:
        OptionError: it is none of these, or is outside of the recording by the wall clock.
    """
    wanted = _plain(text)
    if wanted.startswith("-") and (found := _seconds(wanted[1:])) is not None:
        return max(0.0, scale.end_s - found)
    if wanted.startswith("+") and (found := _seconds(wanted[1:])) is not None:
        return (scale.start_s if after_s is None else after_s) + found
    if (found := _seconds(wanted)) is not None:
        return found
    if wanted.lower() in ("start", "end"):
        return scale.start_s if wanted.lower() == "start" else scale.end_s
    if is_wall_clock(wanted):
        return _at_wall_clock(wanted, option, scale)
    if not scale.markers:
        raise OptionError(
            f"{option}: {wanted!r} is not a time, and {scale.name} has no markers; "
            f"write for example {_EXAMPLES}"
        )
    return scale.position(find_marker(wanted, option, scale).at_ns)


def parse_end(
    text: str, option: str, scale: Timescale, after_s: float | None = None
) -> float | None:
    """Where a section ends, which is not in it: as `parse_position`, but None for `end`.

    Raises:
        OptionError: it is no position.
    """
    if _plain(text).lower() == "end":
        return None
    return parse_position(text, option, scale, after_s)


def parse_start_and_end(
    start: str | None, end: str | None, scale: Timescale
) -> tuple[float | None, float | None]:
    """Seconds from the start of what `--start` and `--end` say; None where there is no limit.

    Raises:
        OptionError: they are no positions, or there is nothing between them.
    """
    a_s = None if start is None else parse_position(start, "--start", scale)
    b_s = None if end is None else parse_end(end, "--end", scale, after_s=a_s)
    if start is not None and end is not None and a_s is not None and b_s is not None and a_s >= b_s:
        raise OptionError(
            f"--start {_plain(start)} ({clock(a_s)}) is not before "
            f"--end {_plain(end)} ({clock(b_s)})"
        )
    return a_s, b_s


def parse_section(
    words: Sequence[str], scale: Timescale, option: str = "FROM"
) -> tuple[float | None, float | None]:
    """The section ``[FROM, TO)`` in seconds; None is everything before, or after.

    Args:
        words: FROM and TO as `parse_position` takes them, or the name of an interval marker alone.
        scale: that of the recording.
        option: what messages call the first of the words.

    Raises:
        OptionError: they are no section.
    """
    if len(words) == 1:
        return _section_of_marker(words[0], option, scale)
    if len(words) != 2:
        raise OptionError(f"a section is FROM and TO, not {len(words)} times; write 10 20, or 5 -3")
    low, high = words
    a_s = parse_position(low, option, scale)
    b_s = parse_end(high, "TO", scale, after_s=a_s)
    if b_s is not None and b_s <= a_s:
        raise OptionError(
            f"FROM {_plain(low)} ({clock(a_s)}) is not before TO {_plain(high)} ({clock(b_s)})"
        )
    return None if _plain(low).lower() == "start" else a_s, b_s


def find_marker(label: str, option: str, scale: Timescale) -> Marker:
    """The marker of a name; upper and lower case may differ where that leaves one.

    Raises:
        OptionError: there is none, or there are several; the message lists what there is.
    """
    exact = [one for one in scale.markers if one.label == label]
    found = exact or [one for one in scale.markers if one.label.lower() == label.lower()]
    if len(found) == 1:
        return found[0]
    shown = repr(printable(label))
    if found:
        raise OptionError(
            f"{option}: {scale.name} has {len(found)} markers {shown}: "
            f"{listed_markers(found, scale)}; write the time of one"
        )
    if not scale.markers:
        raise OptionError(f"{option}: {shown} is no marker: {scale.name} has none")
    raise OptionError(
        f"{option}: {shown} is no marker of {scale.name}; these are: "
        f"{listed_markers(scale.markers, scale)}"
    )


def reads_as_time(text: str) -> bool:
    """Whether something would be taken for a position where the name of a marker is meant."""
    wanted = _plain(text)
    number = _seconds(wanted[1:] if wanted[:1] in ("+", "-") else wanted)
    return number is not None or wanted.lower() in ("start", "end") or is_wall_clock(wanted)


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


def _plain(text: str) -> str:
    return text.strip().replace(MINUS, "-")


def _seconds(wanted: str) -> float | None:
    seconds = None
    if found := _CLOCK.fullmatch(wanted):
        hours, minutes, rest = (float(part or 0) for part in found.groups())
        seconds = hours * 3600 + minutes * 60 + rest
    elif found := _NUMBER.fullmatch(wanted):
        seconds = float(found[1]) * _UNITS[found[2] or ""]
    return seconds if seconds is not None and seconds < _MOST_S else None


def _at_wall_clock(wanted: str, option: str, scale: Timescale) -> float:
    """The position of a time of day; the seconds of the first and last message are inside."""
    if scale.origin_ns is None:
        raise OptionError(
            f"{option}: the time of day of {scale.name} is not known; give {wanted!r} in seconds "
            "from its start"
        )
    last_ns = scale.origin_ns + round(scale.end_s * _S)
    time_ns = parse_wall_clock(wanted, option, scale.origin_ns, last_ns)
    if not scale.origin_ns - _S < time_ns < last_ns + _S:
        raise OptionError(
            f"{option}: {wanted} is outside of {scale.name}, which runs from "
            f"{moment(scale.origin_ns)} to {moment(last_ns)}; write start or end for all there is"
        )
    return max(scale.position(time_ns), 0.0)


def _section_of_marker(label: str, option: str, scale: Timescale) -> tuple[float, float]:
    wanted = _plain(label)
    if reads_as_time(wanted):
        raise OptionError(f"a section is FROM and TO, not {wanted} alone; write also where it ends")
    marker = find_marker(wanted, option, scale)
    if marker.until_ns is None:
        raise OptionError(
            f"the marker {printable(marker.label)!r} is one moment of {scale.name}; write also "
            f"where the section ends, for example {printable(marker.label)} +10"
        )
    return scale.position(marker.at_ns), scale.position(marker.until_ns)


def where(marker: Marker, scale: Timescale) -> str:
    """`0:12.3`, or `0:20.0-0:30.0` for an interval."""
    begin = clock(scale.position(marker.at_ns))
    if marker.until_ns is None:
        return begin
    return f"{begin}-{clock(scale.position(marker.until_ns))}"


def listed_markers(markers: Sequence[Marker], scale: Timescale) -> str:
    """`fall (0:12.3), lap (0:20.0-0:30.0)`; of many, the first."""
    shown = [
        f"{printable(one.label)} ({where(one, scale)})"
        for one in sorted(markers, key=lambda one: one.at_ns)[:_MOST_LISTED]
    ]
    left = len(markers) - len(shown)
    return ", ".join(shown) + (f" and {left:,} more" if left else "")

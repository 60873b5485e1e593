"""Times of day as people write them: `2026-11-20T14:03:05`, `@14:03:05`, `@1763649785.2`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from dimos_record.errors import OptionError

_TIME = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d)[T ])?(?P<hour>\d\d?):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?P<part>\.\d+)?)?(?P<zone>Z|[+-]\d\d:\d\d)?",
    re.IGNORECASE,
)
_UNIX = re.compile(r"\d+(\.\d*)?")
_S = 1_000_000_000


def is_wall_clock(text: str) -> bool:
    """Whether something is written as a time of day: with a date, or an `@` in front."""
    found = _TIME.fullmatch(text)
    return text.startswith("@") or (found is not None and found["date"] is not None)


def parse_wall_clock(text: str, option: str, first_ns: int = 0, last_ns: int = 0) -> int:
    """The UNIX time (ns) of a time of day, to the nanosecond where it is written so.

    Without a zone it is local time. Without a date it is on the day of `first_ns`; after midnight,
    where that day has it only before `first_ns`, and the next one has it before `last_ns`.

    Raises:
        OptionError: it is none.
    """
    wanted = text.removeprefix("@")
    try:
        if _UNIX.fullmatch(wanted):
            return int(Decimal(wanted) * _S)
        if found := _TIME.fullmatch(wanted):
            return _time_ns(found, first_ns, last_ns)
    except (ValueError, OverflowError):
        pass  # there is no such day, or minute
    raise OptionError(
        f"{option}: {text!r} is no time of day; write 2026-11-20T14:03:05, @14:03:05 or "
        "@1763649785.2 (UNIX seconds)"
    )


def _time_ns(found: re.Match[str], first_ns: int, last_ns: int) -> int:
    zone = _zone(found["zone"])
    day = datetime.fromtimestamp(first_ns // _S, zone).date().isoformat()
    time = f"{found['date'] or day} {found['hour']}:{found['minute']}:{found['second'] or 0}"
    at = datetime.strptime(time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
    part_ns = int(Decimal(found["part"] or 0) * _S)
    time_ns, next_day_ns = (
        int(one.timestamp()) * _S + part_ns for one in (at, at + timedelta(days=1))
    )
    began_before = time_ns < first_ns // _S * _S and next_day_ns <= last_ns
    return next_day_ns if began_before and not found["date"] else time_ns


def _zone(text: str | None) -> timezone | None:
    """None is the zone of this machine."""
    if text is None or text in "zZ":
        return timezone.utc if text else None
    hours, _, minutes = text[1:].partition(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if text[0] == "-" else offset)

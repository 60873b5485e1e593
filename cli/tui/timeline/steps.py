"""The message, or marker, after a position and before it: look-ups, nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dimos_record.cli.tui.timeline.scene import Flag

if TYPE_CHECKING:
    from dimos_record.store.edited import EditedReader


def next_message(
    reader: EditedReader, streams: Iterable[str], at_ns: int, *, forward: bool
) -> int | None:
    """When the next message of some streams was received, or the one before; None without any.

    Messages in a section that was cut are state, which is not played and so not stepped to.

    Args:
        at_ns: UNIX time; messages at that very time do not count.
    """
    names, skips = tuple(streams), reader.skips()
    while True:
        ends = (
            reader.ends(name, at_ns + 1, None) if forward else reader.ends(name, None, at_ns)
            for name in names
        )
        times = [found[0] if forward else found[1] for found in ends if found is not None]
        if not times:
            return None
        found_ns = min(times) if forward else max(times)
        skip = next((one for one in skips if one[0] <= found_ns < one[1]), None)
        if skip is None:
            return found_ns
        at_ns = skip[1] - 1 if forward else skip[0]


def next_flag(flags: Sequence[Flag], at_ns: int, *, forward: bool) -> Flag | None:
    """The marker that begins after a position, or before it."""
    if forward:
        return min((flag for flag in flags if flag.at_ns > at_ns), default=None)
    return max((flag for flag in flags if flag.at_ns < at_ns), default=None)

"""What the terminal shows while a recording plays."""

from __future__ import annotations

import math

from dimos_record.cli.times import clock
from dimos_record.replay.stats import PlayStats

_MIN_BAR = 8
_NEXT_WIDTH = len("next 10.0 s")
"""Kept free, so that the bar does not change its length with every message."""


def play_line(stats: PlayStats, loop: str, ab: tuple[float, float] | None, width: int) -> str:
    """State, position, a bar, rate, messages/s, lateness, the loop, and time to the next message.

    Args:
        stats: where playback is.
        loop: what is being looped, as a short text; empty if nothing is.
        ab: the section that is looped (s), to be marked in the bar.
        width: columns there are. The bar gives way first, then what stands at the end.
    """
    state = f"{stats.state:<7} {clock(stats.position_s)} / {clock(stats.duration_s)}"
    parts = [
        "max" if stats.rate == math.inf else f"{stats.rate:.3g}x",
        f"{stats.messages_per_s:,.0f} msg/s",
        f"{stats.late:,} late" if stats.late else "",
        loop,
        f"{_next(stats):{_NEXT_WIDTH}}",
    ]
    figures = "  ".join(part for part in parts if part)
    room = width - len(state) - len(figures) - 4
    bar = f"  {_bar(stats, ab, room)}" if room >= _MIN_BAR else ""
    return f"{state}{bar}  {figures}"[:width]


def _next(stats: PlayStats) -> str:
    """Time to the next message, where it is long enough to be read."""
    due_s = stats.next_due_s
    return "" if due_s is None or due_s < 0.1 else f"next {due_s:.1f} s"


def _bar(stats: PlayStats, ab: tuple[float, float] | None, cells: int) -> str:
    def cell(position_s: float) -> int:
        share = position_s / stats.duration_s if stats.duration_s else 1.0
        return int(min(max(share, 0.0), 1.0) * (cells - 1))

    at = cell(stats.position_s)
    bar = ["━"] * at + ["╸"] + ["─"] * (cells - at - 1)
    if ab is not None:
        bar[cell(ab[0])], bar[cell(ab[1])] = "A", "B"
    return "".join(bar)

"""Two lines below the lanes: where playback is, and where it goes."""

from __future__ import annotations

import math

from rich.text import Text
from textual.widget import Widget

from dimos_record.cli.text import seconds
from dimos_record.cli.times import clock
from dimos_record.cli.tui.timeline.scene import Marks
from dimos_record.cli.tui.timeline.transport import TransportState
from dimos_record.cli.tui.timeline.window import S

_SIGNS = {"playing": "▶", "paused": "‖", "finished": "■", "stopped": "■", "listening": "…"}


class TransportBar(Widget):
    """State, position, rate, loop and marks; then the bus, and what was published there."""

    DEFAULT_CSS = """
    TransportBar { height: 2; padding: 0 1; background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._said = "", ""

    def show(self, state: TransportState, end_ns: int, marks: Marks) -> None:
        """Show where playback is.

        Args:
            end_ns: where the recording ends.
        """
        said = first_line(state, end_ns, marks), second_line(state)
        if said != self._said:
            self._said = said
            self.refresh()

    def render(self) -> Text:
        """Both lines, cut where they do not fit."""
        lines = [Text(one) for one in self._said]
        for line in lines:
            line.truncate(self.size.width, overflow="ellipsis")
        return Text("\n").join(lines)


def first_line(state: TransportState, end_ns: int, marks: Marks) -> str:
    """`▶ playing  0:12.3 / 1:02.0  2x  loop 0:10.0-0:20.0  in 0:10.0 out 0:12.5 (2.5 s)`"""
    parts = [
        f"{_SIGNS[state.state]} {state.state:<9} {clock(state.position_ns / S)} / "
        f"{clock(end_ns / S)}",
        "max" if state.rate == math.inf else f"{state.rate:.3g}x",
        _loop(state),
        _marks(marks),
        "solo" if state.soloed else f"{len(state.muted)} muted" if state.muted else "",
    ]
    return "   ".join(part for part in parts if part)


def second_line(state: TransportState) -> str:
    """`to LCM 239.255.76.67:7667 (this machine only)   1,234 published   3 late (12.3 ms)`"""
    if state.state == "listening":
        return f"listening for other publishers on {state.where} ..."
    if state.published is None:
        return f"nothing is published; space plays to {state.where}"
    late = f"{state.late:,} late ({seconds(state.max_late_s)})" if state.late else "none late"
    return f"to {state.where}   {state.published:,} published   {late}"


def _loop(state: TransportState) -> str:
    if state.a_ns is None:
        return ""
    if state.b_ns is None:
        return f"A {clock(state.a_ns / S)}"
    return f"loop {clock(state.a_ns / S)}-{clock(state.b_ns / S)}"


def _marks(marks: Marks) -> str:
    words = []
    if marks.in_ns is not None:
        words.append(f"in {clock(marks.in_ns / S)}")
    if marks.out_ns is not None:
        words.append(f"out {clock(marks.out_ns / S)}")
    if marks.section is not None:
        words.append(f"({seconds((marks.section.end_ns - marks.section.start_ns) / S)})")
    return " ".join(words)

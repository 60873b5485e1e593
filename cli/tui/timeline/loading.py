"""What a recording looks like on the timeline before any of its messages is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from dimos_record.cli.tui.timeline.scene import Flag, Lane, Scene, Section
from dimos_record.cli.tui.timeline.window import Extent
from dimos_record.store.intervals import FOREVER, Intervals

if TYPE_CHECKING:
    from dimos_record.store.base import SessionInfo
    from dimos_record.store.edit_state import EditState, StreamEdits
    from dimos_record.store.edited import EditedReader


def load_scene(reader: EditedReader, edition: int) -> Scene:
    """Look at a recording; a few look-ups per stream, whatever its size.

    Raises:
        DimosRecordError: it cannot be read.
    """
    state, origin_ns = reader.state, reader.origin_ns()
    extent = _extent(reader, state, origin_ns)
    cuts = state.cut_sections
    sessions = sorted(reader.sessions(), key=lambda session: session.start_ns)
    return Scene(
        extent=extent,
        lanes=tuple(
            Lane(
                name,
                one.info.topic,
                reader.ranks(name, [FOREVER])[-1],
                _sections(_cut_of(one).union(cuts), origin_ns, extent),
            )
            for name, one in state.streams.items()
        ),
        cuts=_sections(cuts, origin_ns, extent),
        pauses=_sections(_between(sessions), origin_ns, extent),
        starts=tuple(session.start_ns - origin_ns for session in sessions[1:]),
        flags=tuple(
            Flag(
                marker.at_ns - origin_ns,
                None if marker.until_ns is None else marker.until_ns - origin_ns,
                marker.label,
            )
            for marker in reader.markers()
        ),
        origin_ns=origin_ns,
        edits=tuple(reader.edits),
        edition=edition,
    )


def _extent(reader: EditedReader, state: EditState, origin_ns: int) -> Extent:
    """From position 0 to the last message, as recorded and as edited: cuts stay to be seen."""
    ends = [(origin_ns, origin_ns), *filter(None, [reader.base.span_ns()])]
    for one in state.streams.values():
        found = filter(None, [reader.base.ends(one.source)])
        ends += [(first + one.shift_ns, last + one.shift_ns) for first, last in found]
    low, high = min(first for first, _ in ends), max(last for _, last in ends)
    return Extent(low - origin_ns, high + 1 - origin_ns)


def _cut_of(one: StreamEdits) -> Intervals:
    kept = Intervals.of(piece[:2] for piece in one.pieces if piece.ids is None)
    return kept.complement().shifted(one.shift_ns)


def _between(sessions: Sequence[SessionInfo]) -> Intervals:
    """Times at which nobody recorded. When a session that was killed has ended is not known."""
    return Intervals.of(
        (earlier.stop_ns, later.start_ns)
        for earlier, later in pairwise(sessions)
        if earlier.stop_ns is not None
    )


def _sections(
    found: Iterable[tuple[int, int]], origin_ns: int, extent: Extent
) -> tuple[Section, ...]:
    """UNIX times as positions, as far as there is anything to see."""
    positions = Intervals.of((low - origin_ns, high - origin_ns) for low, high in found)
    return tuple(Section(*section) for section in positions.within(*extent))

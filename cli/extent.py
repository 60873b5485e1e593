"""How far a recording goes, as its edits leave it: for `info` and `play`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dimos_record.cli import text
from dimos_record.cli.times import Timescale, clock, listed_markers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dimos_record.store.base import StoreReader
    from dimos_record.store.edited import EditedReader

_S = 1_000_000_000
_MOST_LISTED = 20


class Extent(NamedTuple):
    """What is left of a recording, and where."""

    scale: Timescale
    skips: list[tuple[float, float]]
    """What was cut between its first and its last message, in seconds from the start."""
    left_s: float
    """From the first to the last message, without the skips."""
    saved_s: float
    """The same without the edits that are not saved."""
    edits: int
    """How many edits are not saved."""

    @classmethod
    def of(cls, reader: EditedReader) -> Extent:
        """That of a recording."""
        scale = Timescale.of(reader)
        skips = [(scale.position(a), scale.position(b)) for a, b in _skips(reader)]
        edits = sum(not edit.undone for edit in reader.edits)
        return cls(scale, skips, _left_s(reader), _left_s(reader.base), edits)

    def sentences(self) -> list[str]:
        """What is not as in a recording that nobody has edited."""
        lines = []
        if self.edits:
            edits = "1 edit" if self.edits == 1 else f"{self.edits:,} edits"
            lines.append(
                f"edited: {text.seconds(self.left_s)} of {text.seconds(self.saved_s)}, "
                f"{edits} not saved"
            )
        if self.scale.start_s > 0:
            lines.append(
                f"positions {clock(self.scale.start_s)} to {clock(self.scale.end_s)}: "
                "what came before was cut"
            )
        if self.skips:
            lines.append(f"cut out: {sections(self.skips)}")
        if self.scale.markers:
            lines.append(f"markers: {listed_markers(self.scale.markers, self.scale)}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """The same as figures, under names that stay."""
        return {
            "edits_not_saved": self.edits,
            "start_s": self.scale.start_s,
            "end_s": self.scale.end_s,
            "left_s": self.left_s,
            "saved_s": self.saved_s,
            "skips": [{"from_s": a_s, "to_s": b_s} for a_s, b_s in self.skips],
        }


def sections(found: Sequence[tuple[float, float]]) -> str:
    """`0:10.0-0:20.0, 0:30.0-0:40.0`; of many, the first."""
    left = len(found) - _MOST_LISTED
    shown = ", ".join(f"{clock(a_s)}-{clock(b_s)}" for a_s, b_s in found[:_MOST_LISTED])
    return f"{shown} and {left:,} more" if left > 0 else shown


def _skips(reader: StoreReader) -> list[tuple[int, int]]:
    """The skips between the first and the last message."""
    span = reader.span_ns()
    return [skip for skip in reader.skips() if span and span[0] < skip[0] <= skip[1] <= span[1]]


def _left_s(reader: StoreReader) -> float:
    span = reader.span_ns()
    if span is None:
        return 0.0
    return (span[1] - span[0] - sum(b - a for a, b in _skips(reader))) / _S

"""What there is to be drawn beside the messages: streams, cuts, sessions, markers."""

from __future__ import annotations

from typing import NamedTuple

from dimos_record.cli.tui.timeline.window import Extent
from dimos_record.store.edits import Edit


class Section(NamedTuple):
    """``[start_ns, end_ns)`` of the timeline."""

    start_ns: int
    end_ns: int


class Lane(NamedTuple):
    """One stream."""

    stream: str
    topic: str
    messages: int
    cuts: tuple[Section, ...] = ()
    """What was cut of it, or of everything."""


class Flag(NamedTuple):
    """A marker."""

    at_ns: int
    until_ns: int | None
    label: str


class Scene(NamedTuple):
    """A recording without its messages."""

    extent: Extent
    lanes: tuple[Lane, ...] = ()
    cuts: tuple[Section, ...] = ()
    """Of everything."""
    pauses: tuple[Section, ...] = ()
    """Between sessions."""
    starts: tuple[int, ...] = ()
    """Where sessions begin, but for the first."""
    flags: tuple[Flag, ...] = ()
    origin_ns: int = 0
    """UNIX time of position 0."""
    edits: tuple[Edit, ...] = ()
    """The edits that are not saved, also those that were undone."""
    edition: int = 0
    """Counts the times that it was loaded."""

    @property
    def edits_made(self) -> int:
        """How many edits saving would write."""
        return sum(not edit.undone for edit in self.edits)

    @property
    def messages(self) -> int:
        """Messages of all streams."""
        return sum(lane.messages for lane in self.lanes)


class Marks(NamedTuple):
    """What a person has marked, to be cut, kept or exported."""

    in_ns: int | None = None
    out_ns: int | None = None

    @property
    def section(self) -> Section | None:
        """The section between both marks, if both are set."""
        if self.in_ns is None or self.out_ns is None:
            return None
        return Section(self.in_ns, self.out_ns)

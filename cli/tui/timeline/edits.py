"""What the editing keys say and ask, in words; the work is `RecordReplay`'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dimos_record.cli import text
from dimos_record.cli.times import reads_as_time
from dimos_record.cli.tui.timeline.line import counted
from dimos_record.cli.tui.timeline.scene import Marks
from dimos_record.cli.tui.timeline.window import S
from dimos_record.errors import EditError, OptionError
from dimos_record.store.intervals import FOREVER

if TYPE_CHECKING:
    from dimos_record.edit.report import EditReport
    from dimos_record.editing import HistoryEntry
    from dimos_record.store.edited import EditedReader

_SAMPLES = 64


def between(marks: Marks) -> tuple[float, float]:
    """The section between both marks, in seconds.

    Raises:
        EditError: one is not set.
    """
    if marks.section is None:
        raise EditError(f"{_missing(marks)}; i marks in, o marks out, at the playhead")
    start_ns, end_ns = marks.section
    return start_ns / S, end_ns / S


def within(marks: Marks) -> tuple[float | None, float | None]:
    """What is from the mark in to the mark out; without one, from the start or to the end.

    Raises:
        EditError: none is set.
    """
    if marks == Marks():
        raise EditError("No marks are set; i marks in, o marks out, at the playhead")
    ends = (None if at is None else at / S for at in marks)
    return next(ends), next(ends)


def _missing(marks: Marks) -> str:
    if marks == Marks():
        return "No section is marked"
    return "Only the mark " + ("in is set" if marks.out_ns is None else "out is set")


def set_in(marks: Marks, at_ns: int) -> tuple[Marks, str]:
    """The marks with another one in, and what to say if that ends the one out."""
    if marks.out_ns is not None and marks.out_ns <= at_ns:
        return Marks(at_ns), "In is set behind out, so the mark out is gone; o sets a new one"
    return marks._replace(in_ns=at_ns), ""


def set_out(marks: Marks, at_ns: int) -> tuple[Marks, str]:
    """The marks with another one out, and what to say if that ends the one in."""
    if marks.in_ns is not None and marks.in_ns >= at_ns:
        return Marks(None, at_ns), "Out is set before in, so the mark in is gone; i sets a new one"
    return marks._replace(out_ns=at_ns), ""


def marker_label(written: str) -> str:
    """A label for a marker.

    Raises:
        OptionError: it is empty, or reads as a time, so that no command would find it.
    """
    label = written.strip()
    if not label:
        raise OptionError("A marker needs a label, for example: fall")
    if reads_as_time(label):
        raise OptionError(f"{label!r} reads as a time; write for example 'lap {label}'")
    return label


def file_name(written: str) -> str:
    """The name of a file.

    Raises:
        OptionError: it is empty.
    """
    if not written.strip():
        raise OptionError("A file needs a name, for example: walk-edited.db")
    return written.strip()


def done(report: EditReport) -> str:
    """`Cut 10 s to 12.5 s: 1,234 messages, 5.6 MB; u to undo`"""
    first = report.text[:1].upper() + report.text[1:]
    if not report.messages:
        return f"{first}; u to undo"
    stays = "stays" if report.kept_state == 1 else "stay"
    kept = f" ({counted(report.kept_state)} of latched state {stays})" if report.kept_state else ""
    return f"{first}: {amount(report)}; u to undo{kept}"


def amount(report: EditReport) -> str:
    """`1,234 messages, about 5.6 MB`"""
    about = "about " if report.about else ""
    return f"{counted(report.messages)}, {about}{text.size(report.bytes)}"


class Goes(NamedTuple):
    """What saving takes away for good."""

    messages: int
    bytes: int
    """Estimated from the sizes of some messages."""


def what_goes(reader: EditedReader) -> Goes:
    """What saving will take away, by look-ups."""
    kept: dict[str, int] = {}
    for name, one in reader.state.streams.items():
        kept[one.source] = reader.ranks(name, [FOREVER])[-1]
    messages = size = 0
    for source in reader.base.streams:
        there = reader.base.ranks(source, [FOREVER])[-1]
        gone = there - kept.get(source, 0)
        if gone > 0:
            messages += gone
            size += gone * _mean_size(reader, source, there)
    return Goes(messages, size)


def _mean_size(reader: EditedReader, source: str, count: int) -> int:
    numbers = range(1, count + 1, max(1, count // _SAMPLES))
    sizes = [size for size in reader.base.sizes(source, numbers) if size]
    return sum(sizes) // max(1, len(sizes))


def before_save(history: Sequence[HistoryEntry], goes: Goes, bytes_on_disk: int) -> str:
    """What saving means, for who is asked."""
    made = [entry.text for entry in history if not entry.undone]
    shown = "\n".join(f"  {one}" for one in made[:8])
    more = f"\n  and {len(made) - 8} more" if len(made) > 8 else ""
    what = "No message goes" if not goes.messages else f"{counted(goes.messages)}, about "
    if goes.messages:
        what += f"{text.size(goes.bytes)}, go for good"
    return f"{shown}{more}\n{what}; the file has {text.size(bytes_on_disk)} now."


def turn_to(history: Sequence[HistoryEntry], chosen: int) -> tuple[int, int]:
    """How many edits to undo and to redo, so that the first `chosen` of them are made."""
    made = sum(not entry.undone for entry in history)
    return max(0, made - chosen), max(0, chosen - made)

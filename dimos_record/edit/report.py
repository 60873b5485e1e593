"""What an edit does to a recording, in figures and in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dimos_record.errors import EditError
from dimos_record.store.base import Marker
from dimos_record.store.edit_state import EditState, StreamEdits
from dimos_record.store.edited import EditedReader
from dimos_record.store.edits import Edit, marker_of
from dimos_record.store.intervals import Intervals

_TAKES_AWAY = ("cut", "trim", "delete")
_EXACT_UP_TO = 2_000
"""Messages whose sizes are summed up; of more, so many are sampled."""


class EditReport(NamedTuple):
    """What an edit has taken away, or would."""

    edit: Edit | None
    """The edit; None for a preview."""
    text: str
    """What it does: `cut 10 s to 12.5 s`."""
    messages: int = 0
    """How many messages go."""
    bytes: int = 0
    """Their payloads, as stored."""
    about: bool = False
    """Whether `bytes` is estimated from samples, since there are many messages."""
    kept_state: int = 0
    """Messages of latched topics that stay, since what follows needs them."""
    topics: tuple[tuple[str, int], ...] = ()
    """(topic, messages that go), for every topic of which any go."""


def report_edit(edit: Edit, reader: EditedReader) -> EditReport:
    """What an edit would do to a recording as its edits have left it.

    Raises:
        EditError: it would take nothing away although it is meant to, or leave nothing.
    """
    before = reader.state
    after = reader.applied([*(one for one in reader.edits if not one.undone), edit])
    text = describe_edit(edit, reader)
    if edit.kind not in _TAKES_AWAY:
        return EditReport(None, text)
    if not any(True for _ in _left(after, reader)):
        raise EditError(f"{text} would leave nothing of {reader.name}")
    gone = {name: _gone(one, after, reader) for name, one in before.streams.items()}
    messages = sum(part.messages for part in gone.values())
    if not messages and after.skips == before.skips and len(gone) == len(after.streams):
        raise EditError(f"{text} would take nothing away from {reader.name}")
    return EditReport(
        None,
        text,
        messages,
        sum(part.bytes for part in gone.values()),
        any(part.about for part in gone.values()),
        sum(part.kept_state for part in gone.values()),
        tuple((before.streams[name].info.topic, p.messages) for name, p in gone.items() if p[0]),
    )


class _Gone(NamedTuple):
    messages: int
    bytes: int
    about: bool
    kept_state: int


def _gone(one: StreamEdits, after: EditState, reader: EditedReader) -> _Gone:
    """What goes of one stream."""
    left = next((other for other in after.streams.values() if other.source == one.source), None)
    pieces = () if left is None else left.pieces
    ranges = _ranges(one).without(Intervals.of(p[:2] for p in pieces if p.ids is None))
    had, has = _state(one), frozenset[int]() if left is None else _state(left)
    kept = len(has - had)
    edges = [edge for section in ranges for edge in section]
    ranks = reader.base.ranks(one.source, edges) if edges else []
    count = sum(high - low for low, high in zip(ranks[::2], ranks[1::2], strict=True))
    if count <= _EXACT_UP_TO:  # ranks are estimates where the clock has stepped back a little
        count = sum(reader.base.count_between(one.source, *section) for section in ranges)
    messages = count - kept + len(had - has)
    if count <= _EXACT_UP_TO:
        sizes = [reader.base.bytes_between(one.source, *section) for section in ranges]
        changed = reader.base.sizes(one.source, sorted(had - has))
        still = reader.base.sizes(one.source, sorted(has - had))
        return _Gone(messages, sum(sizes) + sum(changed) - sum(still), False, kept)
    step = max(1, count // _EXACT_UP_TO)
    sampled = [
        number
        for low, high in zip(ranks[::2], ranks[1::2], strict=True)
        for number in range(low + 1, high + 1, step)
    ]
    sizes = [size for size in reader.base.sizes(one.source, sampled) if size]
    return _Gone(messages, messages * sum(sizes) // max(1, len(sizes)), True, kept)


def _ranges(one: StreamEdits) -> Intervals:
    return Intervals.of(piece[:2] for piece in one.pieces if piece.ids is None)


def _state(one: StreamEdits) -> frozenset[int]:
    return frozenset(number for piece in one.pieces for number in piece.ids or ())


def _left(after: EditState, reader: EditedReader) -> Iterator[str]:
    """The streams of which messages would be left that play."""
    skipped = Intervals.of(reader.base.skips())
    for name, one in after.streams.items():
        played = _ranges(one).without(skipped)
        if any(reader.base.ends(one.source, *section) for section in played):
            yield name


def describe_edit(edit: Edit, reader: EditedReader) -> str:
    """An edit in words, with positions in seconds and the topics as recorded."""
    args, origin_ns = edit.args, reader.origin_ns()
    topics = _topics(args.get("streams") or [args.get("stream")], reader)
    if edit.kind in ("cut", "trim"):
        start, end = _ends(args["a"], args["b"], origin_ns)
        words = f"cut {start} to {end}" if edit.kind == "cut" else f"trim to {start} - {end}"
        return words if args["streams"] is None else f"{words} of {topics}"
    if edit.kind == "shift":
        return f"shift {topics} by {args['ns'] / 1e9:+.9g} s"
    if edit.kind == "rename":
        return f"rename {topics} to {args['topic']}"
    if edit.kind == "codec":
        return f"store {topics} as {args['codec']}"
    if edit.kind == "mark":
        return _marked([marker_of(each) for each in args["markers"]], origin_ns)
    if edit.kind == "unmark":
        known = {marker.id: marker for marker in _all_markers(reader)}
        labels = [known[number].label for number in args["ids"] if number in known]
        return f"delete marker {', '.join(map(repr, labels))}"
    return f"delete {topics}"


def _marked(marks: list[Marker], origin_ns: int) -> str:
    if len(marks) != 1:
        return f"add {len(marks)} markers"
    (marker,) = marks
    until = "" if marker.until_ns is None else f" to {_seconds(marker.until_ns - origin_ns)}"
    return f"mark {marker.label!r} at {_seconds(marker.at_ns - origin_ns)}{until}"


def _all_markers(reader: EditedReader) -> Iterator[Marker]:
    """Every marker that there is or ever was since the recording was saved."""
    yield from reader.base.markers()
    for edit in reader.edits:
        for each in edit.args.get("markers", ()):
            yield marker_of(each)


def _topics(streams: list[str | None], reader: EditedReader) -> str:
    recorded = reader.base.streams
    return ", ".join(recorded[name].topic for name in streams if name in recorded)


def _ends(a_ns: int | None, b_ns: int | None, origin_ns: int) -> tuple[str, str]:
    return (
        "the start" if a_ns is None else _seconds(a_ns - origin_ns),
        "the end" if b_ns is None else _seconds(b_ns - origin_ns),
    )


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.6f}".rstrip("0").rstrip(".") + " s"

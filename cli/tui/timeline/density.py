"""How many messages, or bytes, each stream has in each column: look-ups, nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from dimos_record.cli.tui.timeline.window import S, Window
from dimos_record.errors import CodecError, MissingExtra

if TYPE_CHECKING:
    from dimos_record.store.edited import EditedReader

Unit = Literal["messages", "bytes"]

DOTS = 2
"""Dot columns in a braille character."""
_SAMPLES = 8
"""Messages per stream whose size is looked at."""
_AROUND = 2
"""Cells at each side that the load of a cell is averaged over."""
_LOADS_PER_S: dict[Unit, tuple[float, ...]] = {
    "messages": (3, 40, 400),
    "bytes": (1e4, 1e6, 1e7),
}
"""Where one colour ends and the next, hotter one begins."""


class Request(NamedTuple):
    """What is to be counted."""

    window: Window
    cells: int
    """Columns of characters."""
    unit: Unit
    streams: tuple[str, ...]
    edition: int
    """Raised when an edit may have changed the figures."""


Read = Callable[[Callable[["EditedReader"], Any]], Any]
"""Calls a function with the recording, which stays open meanwhile."""


class Picture(NamedTuple):
    """The figures that a request has asked for."""

    request: Request
    lanes: dict[str, tuple[int, ...]]
    """By stream, per dot column: messages, or bytes."""
    counts: dict[str, tuple[int, ...]]
    """By stream, per dot column: messages."""


def compute(read: Read, request: Request, stale: Callable[[], bool]) -> Picture | None:
    """Count, stream by stream; None if nobody wants to know any more.

    Args:
        read: is asked for the recording anew for each stream, so that others get to it, too.
        stale: whether another picture is wanted by now; asked before each stream.

    Raises:
        DimosRecordError: the recording cannot be read any more.
    """
    counts: dict[str, tuple[int, ...]] = {}
    lanes: dict[str, tuple[int, ...]] = {}
    for stream in request.streams:
        if stale():
            return None
        lanes[stream], counts[stream] = read(partial(_figures, request, stream))
    return Picture(request, lanes, counts)


def _figures(request: Request, stream: str, reader: EditedReader) -> tuple[tuple[int, ...], ...]:
    origin_ns = reader.origin_ns()
    borders = [origin_ns + at for at in request.window.borders(request.cells * DOTS)]
    ranks = reader.ranks(stream, borders)
    counts = tuple(after - before for before, after in pairwise(ranks))
    figures = weigh(reader, stream, borders, counts) if request.unit == "bytes" else counts
    return figures, counts


def weigh(
    reader: EditedReader, stream: str, borders_ns: Sequence[int], counts: Sequence[int]
) -> tuple[int, ...]:
    """Bytes between each two times: the counts times the sizes of a few messages among them."""
    filled = [column for column, number in enumerate(counts) if number]
    sizes = {
        column: _size(reader, stream, borders_ns[column + 1] - 1)
        for column in filled[:: max(1, len(filled) // _SAMPLES)]
    }
    weights, size = [], next(iter(sizes.values()), 0)
    for column, number in enumerate(counts):
        size = sizes.get(column, size)
        weights.append(number * size)
    return tuple(weights)


def _size(reader: EditedReader, stream: str, ts_ns: int) -> int:
    """Bytes of the message at a time; 1 where they cannot be told."""
    try:
        row = reader.last_at(stream, ts_ns)
    except (CodecError, MissingExtra):
        return 1
    return 1 if row is None else len(row.data)


def total(lanes: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Several streams in one."""
    return tuple(map(sum, zip(*lanes, strict=True)))


def per_cell(dots: Sequence[int]) -> list[int]:
    """The figures of characters from those of their dot columns."""
    return [dots[i] + dots[i + 1] for i in range(0, len(dots), DOTS)]


def are_single(counts: Sequence[int]) -> bool:
    """Whether messages stand so far apart that each can be drawn as a tick of its own."""
    return all(number <= 1 for number in per_cell(counts))


def loads(figures: Sequence[int], window: Window, unit: Unit, *, single: bool) -> list[int]:
    """How hot each cell is, from 1 to 4: by what arrives per second around it.

    Args:
        single: whether messages stand apart, so that only the whole window tells their rate.
    """
    cells = per_cell(figures)
    cell_s = window.length_ns / S / max(1, len(cells))
    reach = len(cells) if single else _AROUND
    found = []
    for i in range(len(cells)):
        around = cells[max(0, i - reach) : i + reach + 1]
        found.append(_load(sum(around) / (len(around) * cell_s), unit))
    return found


def _load(per_s: float, unit: Unit) -> int:
    return 1 + sum(per_s >= border for border in _LOADS_PER_S[unit])

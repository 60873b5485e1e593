"""The fields of many messages at once, read from their bytes as columns of numbers and strings.

All messages of a batch are walked together, one part of the type's layout after the other, with the
position in each message in an array. So a message costs no step of Python of its own, but for its
strings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dimos_record.errors import OptionError
from dimos_record.messages.fields import Array, Field, Layout, Part, Run, Text, layout_of
from dimos_record.messages.layout import FINGERPRINT_BYTES, SIZES

Positions = NDArray[np.int64]

_DTYPES = {
    "byte": ">u1",
    "boolean": ">i1",
    "int8_t": ">i1",
    "int16_t": ">i2",
    "int32_t": ">i4",
    "int64_t": ">i8",
    "float": ">f4",
    "double": ">f8",
}


class Column(NamedTuple):
    """One field of a batch of messages."""

    values: NDArray[Any]
    """Of shape (messages,), or all items of all lists; strings are an array of objects."""
    offsets: Positions | None
    """Of shape (messages + 1,): where the list of each message begins; None for one per message."""

    def item(self, index: int) -> NDArray[np.float64]:
        """One item of each list, of shape (messages,); NaN where a list is shorter."""
        if self.offsets is None:
            raise OptionError("this field holds no list")
        found = np.full(len(self.offsets) - 1, np.nan)
        at = self.offsets[:-1] + index
        there = at < self.offsets[1:]
        found[there] = self.values[at[there]]
        return found


class Columns(NamedTuple):
    """The wanted fields of a batch of messages."""

    by_path: dict[str, Column]
    valid: NDArray[np.bool_]
    """Of shape (messages,): whether the bytes are a message of the type.

    What the columns have of those that are none means nothing.
    """


class ColumnReader:
    """Reads columns from the bytes of messages of one type.

    Args:
        type_name: the type.
        wanted: paths of the fields to read; None is all.

    Raises:
        OptionError: the type is not known.
    """

    def __init__(self, type_name: str, wanted: Collection[str] | None = None) -> None:
        layout = layout_of(type_name)
        if layout is None:
            raise OptionError(f"dimos_lcm has no type {type_name}, so its fields are not known")
        self.layout: Layout = layout
        self.fields = tuple(one for one in layout.fields if wanted is None or one.path in wanted)
        """What is read, in the order of the bytes."""
        self._wanted = {one.path for one in self.fields}
        self._pad = max([FINGERPRINT_BYTES, *_run_sizes(layout.parts)])
        self._start = np.frombuffer(layout.fingerprint.to_bytes(FINGERPRINT_BYTES, "big"), np.uint8)

    def read(self, messages: Sequence[bytes]) -> Columns:
        """The columns of some messages, which are held in memory twice meanwhile."""
        walk = _Walk(messages, self._pad, self._wanted)
        walk.check_start(self._start)
        found = walk.take(self.layout.parts)
        return Columns(found, ~walk.bad)


class _Walk:
    """The way through a batch of messages: positions in one buffer, all moved together.

    Messages that turn out bad stay at the padding behind the last one, which is zeros.
    """

    def __init__(self, messages: Sequence[bytes], pad: int, wanted: Collection[str]) -> None:
        self._buffer = np.frombuffer(b"".join([*messages, bytes(pad + 8)]), np.uint8)
        sizes = np.fromiter(map(len, messages), np.int64, len(messages))
        self._end = np.cumsum(sizes)
        self._at: Positions = self._end - sizes
        self._zeros = int(self._end[-1]) if len(messages) else 0
        self.bad = np.zeros(len(messages), np.bool_)
        self._of = np.arange(len(messages))
        """Which message each of the positions is in; a part of them inside of an array."""
        self._wanted = wanted

    def check_start(self, start: NDArray[np.uint8]) -> None:
        """Pass the fingerprint; other ones are bad."""
        found = self._rows(len(start))
        self._spoil((found != start).any(axis=1))
        self._at = self._at + len(start)

    def take(self, parts: Sequence[Part]) -> dict[str, Column]:
        """Pass the parts; their wanted fields by path."""
        found: dict[str, Column] = {}
        lengths: dict[str, Positions] = {}
        for part in parts:
            if isinstance(part, Run):
                self._run(part, found, lengths)
            elif isinstance(part, Text):
                self._text(part, found)
            else:
                self._array(part, lengths[part.length], found)
        return found

    def _run(self, run: Run, found: dict[str, Column], lengths: dict[str, Positions]) -> None:
        places = [one for one in run.places if one.field.path in self._wanted]
        if places or run.lengths:
            rows = self._rows(run.size)
            for place in places:
                found[place.field.path] = Column(_numbers(rows, place.offset, place.field), None)
            for path, offset, kind in run.lengths:
                column = rows[:, offset : offset + SIZES[kind]]
                numbers = np.ascontiguousarray(column).view(_DTYPES[kind])[:, 0]
                lengths[path] = numbers.astype(np.int64)
        else:
            self._spoil(self._at + run.size > self._ends)
        self._at = self._at + run.size

    def _text(self, text: Text, found: dict[str, Column]) -> None:
        sizes = self._rows(4).view(">u4")[:, 0].astype(np.int64)
        self._at = self._at + 4
        too_long = self._at + sizes > self._ends
        self._spoil(too_long)
        sizes = np.where(self.bad[self._of], 0, sizes)
        if text.field is not None and text.field.path in self._wanted:
            found[text.field.path] = Column(self._strings(sizes), None)
        self._at = self._at + sizes

    def _strings(self, sizes: Positions) -> NDArray[Any]:
        known: dict[bytes, str] = {}
        buffer = self._buffer.data
        strings = np.empty(len(sizes), object)
        for i, (start, size) in enumerate(zip(self._at.tolist(), sizes.tolist(), strict=True)):
            raw = bytes(buffer[start : start + size])
            text = known.get(raw)
            if text is None:
                text = known[raw] = raw.removesuffix(b"\0").decode("utf-8", "replace")
            strings[i] = text
        return strings

    def _array(self, array: Array, counts: Positions, found: dict[str, Column]) -> None:
        room = np.maximum(self._ends - self._at, 0)
        self._spoil((counts < 0) | (counts > room // max(array.least_size, 1)))
        counts = np.where(self.bad[self._of], 0, counts)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        single = array.items[0] if len(array.items) == 1 else None
        if isinstance(single, Run):
            self._block(single, counts, offsets, found)
        else:
            self._one_by_one(array, counts, offsets, found)

    def _block(
        self, item: Run, counts: Positions, offsets: Positions, found: dict[str, Column]
    ) -> None:
        """Items of fixed size, all at once."""
        places = [one for one in item.places if one.field.path in self._wanted]
        if places:
            # sliced, since positions of the items would take many times their bytes
            starts, ends = self._at.tolist(), (self._at + counts * item.size).tolist()
            pieces = [self._buffer[a:b] for a, b in zip(starts, ends, strict=True)]
            rows = np.concatenate([self._buffer[:0], *pieces]).reshape(-1, item.size)
            for place in places:
                found[place.field.path] = Column(_numbers(rows, place.offset, place.field), offsets)
        self._at = self._at + counts * item.size

    def _one_by_one(
        self, array: Array, counts: Positions, offsets: Positions, found: dict[str, Column]
    ) -> None:
        """Items with strings or arrays in them: the first of every message, the second ..."""
        at, of = self._at.copy(), self._of
        collected: dict[str, NDArray[Any]] = {}
        for k in range(int(counts.max(initial=0))):
            having = np.flatnonzero(counts > k)
            self._at, self._of = at[having], of[having]
            for path, column in self.take(array.items).items():
                if path not in collected:
                    collected[path] = np.empty(offsets[-1], column.values.dtype)
                collected[path][offsets[having] + k] = column.values
            at[having] = self._at
        self._at, self._of = at, of
        for field in _fields_in(array.items):
            if field.path in self._wanted:
                values = collected.get(field.path, np.zeros(0, _dtype(field)))
                found[field.path] = Column(values, offsets)

    @property
    def _ends(self) -> Positions:
        """Where the message ends in which each position is; that of a bad one, at the padding."""
        ends: Positions = np.where(self.bad[self._of], np.iinfo(np.int64).max, self._end[self._of])
        return ends

    def _rows(self, size: int) -> NDArray[np.uint8]:
        """The next bytes of each message, of shape (positions, size)."""
        self._spoil(self._at + size > self._ends)
        return self._windows(self._at, size)

    def _windows(self, at: Positions, size: int) -> NDArray[np.uint8]:
        windows = np.lib.stride_tricks.sliding_window_view(self._buffer, size)
        return np.ascontiguousarray(windows[at])

    def _spoil(self, bad: NDArray[np.bool_]) -> None:
        """These messages are no good: read zeros from here on."""
        self.bad[self._of[bad]] = True
        self._at = np.where(self.bad[self._of], self._zeros, self._at)


def _numbers(rows: NDArray[np.uint8], offset: int, field: Field) -> NDArray[Any]:
    """One number of each row, in the byte order of this machine."""
    raw = np.ascontiguousarray(rows[:, offset : offset + SIZES[field.kind]])
    numbers = raw.view(_DTYPES[field.kind])[:, 0]
    found: NDArray[Any] = numbers.astype(_dtype(field))
    return found


def _dtype(field: Field) -> np.dtype[Any]:
    """What a column of it is, in the byte order of this machine."""
    if field.kind == "string":
        return np.dtype(object)
    if field.kind == "boolean":
        return np.dtype(np.bool_)
    native: np.dtype[Any] = np.dtype(_DTYPES[field.kind]).newbyteorder("=")
    return native


def _run_sizes(parts: Sequence[Part]) -> list[int]:
    sizes = []
    for part in parts:
        if isinstance(part, Run):
            sizes.append(part.size)
        elif isinstance(part, Array):
            sizes += _run_sizes(part.items)
    return sizes


def _fields_in(parts: Sequence[Part]) -> list[Field]:
    """The fields in the items of an array; what is in arrays inside of them has none."""
    found = []
    for part in parts:
        if isinstance(part, Run):
            found += [one.field for one in part.places]
        elif isinstance(part, Text) and part.field is not None:
            found.append(part.field)
    return found

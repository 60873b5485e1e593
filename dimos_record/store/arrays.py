"""Recorded messages as NumPy arrays, read from their bytes many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dimos_record.errors import DecodeError, OptionError
from dimos_record.messages.columns import Column, ColumnReader
from dimos_record.messages.fields import Field, find_field, layout_of
from dimos_record.messages.pixels import raw_pixels, read_image
from dimos_record.store.base import Row, StreamInfo

Array = NDArray[Any]

_BATCH_ROWS, _BATCH_BYTES = 8192, 16_000_000
_IMAGE = "sensor_msgs.Image"


class Pixels(NamedTuple):
    """The picture in one message."""

    ts_ns: int
    """Receive time, nanoseconds since the UNIX epoch."""
    encoding: str
    """`bgr8`, `16UC1` ..., which says what the channels are."""
    array: Array
    """Of shape (height, width, channels); a view of the message's bytes, which cannot be written.

    It is a copy only where the bytes are in another order than this machine has them.
    """


class _Wanted(NamedTuple):
    """What becomes one array."""

    name: str
    fields: tuple[Field, ...]
    item: int | None = None
    """Which item of a list is meant."""

    def of(self, columns: dict[str, Column]) -> Array:
        """The array of a batch of messages, whose first axis is theirs."""
        found = [columns[field.path] for field in self.fields]
        if len(found) > 1:
            return np.stack([column.values for column in found], axis=1)
        (column,) = found
        if column.offsets is None:
            return column.values
        if self.item is None:
            return _padded(column.values, column.offsets)
        return column.item(self.item)


def to_arrays(stream: StreamInfo, rows: Iterable[Row], names: Sequence[str]) -> dict[str, Array]:
    """Fields of messages as arrays; see `StreamQuery.to_numpy`.

    Raises:
        OptionError: there is no such field, or nobody knows the type.
        DecodeError: the bytes of a message are not of the stream's type.
    """
    if stream.codec == "scalar":
        return _scalars(stream, rows, names)
    wanted = _wanted(stream, names)
    reader = ColumnReader(
        stream.type_name or "", {field.path for one in wanted for field in one.fields}
    )
    times: list[Array] = [np.zeros(0, np.int64)]
    parts: dict[str, list[Array]] = {one.name: [] for one in wanted}
    for batch in _batches(rows):
        columns = reader.read([row.data for row in batch])
        if not columns.valid.all():
            wrong = batch[int(np.argmin(columns.valid))]
            raise DecodeError(f"message {wrong.id} of {stream.topic} is no {stream.type_name}")
        times.append(np.array([row.ts_ns for row in batch], np.int64))
        for one in wanted:
            parts[one.name].append(one.of(columns.by_path))
    return {"ts_ns": np.concatenate(times)} | {
        name: _joined(found) if found else np.zeros(0) for name, found in parts.items()
    }


def images(stream: StreamInfo, rows: Iterable[Row]) -> Iterator[Pixels]:
    """The pictures of a stream of images; see `StreamQuery.images`.

    Raises:
        OptionError: it holds something else.
        DecodeError: a message is no image, or of an encoding whose pixels are no numbers.
    """
    if stream.type_name != _IMAGE:
        raise OptionError(f"{stream.topic} holds {stream.type_name or 'raw bytes'}, no {_IMAGE}")
    return map(_pixels, rows)


def _pixels(row: Row) -> Pixels:
    try:
        _, picture = read_image(row.data)
        return Pixels(row.ts_ns, picture.encoding, raw_pixels(picture))
    except DecodeError as error:
        raise DecodeError(f"message {row.id} of {row.stream.topic}: {error}") from error


def _wanted(stream: StreamInfo, names: Sequence[str]) -> list[_Wanted]:
    layout = layout_of(stream.type_name)
    if layout is None:
        raise OptionError(
            f"{stream.topic} holds {stream.type_name or 'raw bytes'}, whose fields nobody knows"
        )
    numbers = [one for one in layout.fields if one.is_number]
    if not names:
        single = [one for one in numbers if one.array is None]
        return [_Wanted(name, tuple(found)) for name, found in groupby(single, _without_index)]
    return [_named(stream, name, numbers) for name in names]


def _named(stream: StreamInfo, name: str, numbers: Sequence[Field]) -> _Wanted:
    inside = tuple(one for one in numbers if one.path.startswith(f"{name}.") and not one.array)
    if inside:
        return _Wanted(name, inside)
    whole = [one for one in numbers if one.path == name]
    if whole:
        return _Wanted(name, tuple(whole))
    try:
        field, item = find_field(stream.type_name, name)
    except OptionError as error:
        raise OptionError(f"{stream.topic}: {error}") from error
    return _Wanted(name, (field,), item)


def _without_index(field: Field) -> str:
    """`pose.covariance` of `pose.covariance.35`"""
    start, _, last = field.path.rpartition(".")
    return start if last.isdecimal() else field.path


def _scalars(stream: StreamInfo, rows: Iterable[Row], names: Sequence[str]) -> dict[str, Array]:
    """Of a stream in which dimos stored plain numbers."""
    if set(names) - {"value"}:
        raise OptionError(f"{stream.topic} has no number {names[0]!r}; it has value")
    pairs = [(row.ts_ns, float(row.data)) for row in rows]
    return {
        "ts_ns": np.array([ts_ns for ts_ns, _ in pairs], np.int64),
        "value": np.array([value for _, value in pairs], np.float64),
    }


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row.data)
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _padded(values: Array, offsets: NDArray[np.int64]) -> Array:
    """Lists of numbers, one per message, of shape (messages, longest), filled up with NaN."""
    counts = np.diff(offsets)
    found = np.full((len(counts), int(counts.max(initial=0))), np.nan)
    found[np.arange(found.shape[1]) < counts[:, None]] = values
    return found


def _joined(parts: Sequence[Array]) -> Array:
    """Batches one after the other; lists are as long as the longest of all."""
    if parts[0].ndim == 2:
        width = max(part.shape[1] for part in parts)
        parts = [
            part
            if part.shape[1] == width
            else np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=np.nan)
            for part in parts
        ]
    return np.concatenate(parts)

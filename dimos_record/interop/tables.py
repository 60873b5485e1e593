"""Tables: one per stream, one row per message, what a message says laid flat into columns.

Each table begins with the columns of `OWN_COLUMNS`; then come the fields of the type under their
paths (`pose.position.x`, see `messages/fields.py`). A field that is called like one of those, or
like a key of partitions, has `data.` before its path.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dimos_record.errors import OptionError
from dimos_record.interop.exporting import About, Loss, Losses
from dimos_record.messages.columns import Column, ColumnReader
from dimos_record.messages.fields import Field, layout_of
from dimos_record.store.base import Row, StreamInfo
from dimos_record.store.observation import Meta, Pose

MAX_ITEMS = 10_000
"""Longest list that a table takes; of a message with a longer one that field is empty."""
POSE_COLUMNS = tuple(f"pose_{name}" for name in Pose._fields)
OWN_COLUMNS = ("ts", "ts_ns", "stamp_ns", "seq", "id", *POSE_COLUMNS, "tags")
"""Receive time, twice: as a time and as UNIX ns; the header's, number, pose, and tags as JSON."""
PARTITION_KEYS = ("day", "hour", "robot", "stream", "recording")
_TAKEN = {*OWN_COLUMNS, *PARTITION_KEYS, "value", "raw"}
_BATCH_ROWS = 4096
_BATCH_BYTES = 8_000_000
_ALL_BATCHES_BYTES = 64_000_000


class Cells(NamedTuple):
    """One column of some rows."""

    values: NDArray[Any]
    """Of shape (rows,), or all items of all lists."""
    offsets: NDArray[np.int64] | None = None
    """Of shape (rows + 1,): where the list of each row begins; None where a row has one value."""
    missing: NDArray[np.bool_] | None = None
    """Of shape (rows,): which rows have none; None where all have one."""


class TableColumn(NamedTuple):
    """What a column holds."""

    name: str
    kind: str
    """`time`, `json`, `bytes`, or LCM's name: `double`, `int64_t`, `string` ..."""
    listed: bool = False
    """Whether each row has a list of them."""


class Table:
    """The columns of the table of one stream.

    Args:
        stream: what is in it.
        raw: whether there is a column with the bytes as they came off the wire.
    """

    def __init__(self, stream: StreamInfo, *, raw: bool = False) -> None:
        self.stream, self.raw = stream, raw
        self._scalar = stream.codec == "scalar"
        layout = None if self._scalar else layout_of(stream.type_name)
        self._reader = ColumnReader(layout.type_name) if layout else None
        fields = self._reader.fields if self._reader else ()
        self._names = {one.path: _free_name(one) for one in fields}
        self.left_out = [f"{one.path} ({one.why})" for one in layout.left_out] if layout else []
        if layout is None and not self._scalar:
            self.left_out = [f"all fields ({_nobody_knows(stream)})"]
        self.columns = (
            TableColumn("ts", "time"),
            *(TableColumn(name, "int64_t") for name in OWN_COLUMNS[1:5]),
            *(TableColumn(name, "double") for name in POSE_COLUMNS),
            TableColumn("tags", "json"),
            *([TableColumn("value", "double")] if self._scalar else []),
            *(TableColumn(self._names[one.path], one.kind, bool(one.array)) for one in fields),
            *([TableColumn("raw", "bytes")] if raw else []),
        )

    def cells(
        self, rows: Sequence[Row], metas: Sequence[Meta | None], losses: Losses
    ) -> list[Cells]:
        """The cells of some messages, a column after the other; what has no place is noted."""
        ts_ns = np.array([row.ts_ns for row in rows], np.int64)
        found = [Cells(ts_ns), Cells(ts_ns), _numbers([row.stamp_ns for row in rows])]
        found.append(Cells(np.array([row.seq for row in rows], np.int64)))
        found.append(Cells(np.array([row.id for row in rows], np.int64)))
        found += _poses(metas)
        found.append(_tags(metas))
        if self._scalar:
            values = [meta.value if meta else None for meta in metas]
            missing = np.array([one is None for one in values], np.bool_)
            found.append(Cells(np.array([one or 0.0 for one in values]), None, missing))
        if self._reader is not None:
            found += self._fields(self._reader, rows, losses)
        if self.raw:
            data = np.empty(len(rows), object)
            data[:] = [row.data for row in rows]
            found.append(Cells(data))
        else:
            for what in self.left_out:
                losses.note(self.stream.topic, what, len(rows))
        return found

    def _fields(self, reader: ColumnReader, rows: Sequence[Row], losses: Losses) -> list[Cells]:
        columns = reader.read([row.data for row in rows])
        invalid = ~columns.valid
        bad = int(invalid.sum())
        if bad and not self.raw:
            what = f"all fields (the bytes are no {self.stream.type_name})"
            losses.note(self.stream.topic, what, bad)
        found = []
        for field in reader.fields:
            column = columns.by_path[field.path]
            missing = invalid | _too_long(column)
            longer = int(missing.sum()) - bad
            if longer and not self.raw:
                what = f"{field.path} (a list of more than {MAX_ITEMS:,} items)"
                losses.note(self.stream.topic, what, longer)
            found.append(Cells(*_without(column, missing), missing if missing.any() else None))
        return found


def _nobody_knows(stream: StreamInfo) -> str:
    if stream.type_name is None:
        return "the channel names no type"
    return f"dimos_lcm has no type {stream.type_name}"


def _free_name(field: Field) -> str:
    return f"data.{field.path}" if field.path.lower() in _TAKEN else field.path


def _numbers(values: Sequence[int | None]) -> Cells:
    missing = np.array([one is None for one in values], np.bool_)
    return Cells(
        np.array([one or 0 for one in values], np.int64), None, missing if missing.any() else None
    )


def _poses(metas: Sequence[Meta | None]) -> list[Cells]:
    poses = [meta.pose if meta else None for meta in metas]
    missing = np.array([pose is None for pose in poses], np.bool_)
    nowhere = Pose(0.0, 0.0, 0.0)
    numbers = np.array([pose or nowhere for pose in poses], np.float64).reshape(-1, 7)
    return [Cells(numbers[:, i], None, missing) for i in range(7)]


def _tags(metas: Sequence[Meta | None]) -> Cells:
    texts = np.empty(len(metas), object)
    texts[:] = [json.dumps(dict(meta.tags)) if meta and meta.tags else "" for meta in metas]
    return Cells(texts, None, np.array([not text for text in texts], np.bool_))


def _too_long(column: Column) -> NDArray[np.bool_]:
    if column.offsets is None:
        return np.zeros(len(column.values), np.bool_)
    return np.greater(np.diff(column.offsets), MAX_ITEMS)


def _without(
    column: Column, missing: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """A column whose missing lists have no items."""
    if column.offsets is None or not missing.any():
        return column.values, column.offsets
    counts = np.diff(column.offsets)
    keep = np.repeat(~missing, counts)
    counts[missing] = 0
    return column.values[keep], np.concatenate([[0], np.cumsum(counts)])


class TableFile(Protocol):
    """One table that is being written."""

    def append(self, cells: Sequence[Cells], count: int) -> None:
        """Add rows."""

    def close(self) -> None:
        """Write what is left, and release the file."""


class Place(NamedTuple):
    """Where a table is to be."""

    name: str
    """A path in the folder, without suffix."""
    period: int = 0
    """Messages of a stream come in the order of periods: a table of an earlier one is complete."""


class OpenTable:
    """A table with the messages that wait for being written."""

    def __init__(self, table: Table, place: Place, file: TableFile) -> None:
        self.table, self.place, self.file = table, place, file
        self.rows: list[Row] = []
        self.metas: list[Meta | None] = []
        self.bytes = 0

    def write(self, losses: Losses) -> None:
        """Write what waits."""
        rows, metas = self.rows, self.metas
        self.rows, self.metas, self.bytes = [], [], 0
        if rows:
            self.file.append(self.table.cells(rows, metas, losses), len(rows))


class TablesWriter(ABC):
    """An `ExportWriter` of tables: a folder with one file per stream, or one file.

    What is written is one file where the name says so (`odom.parquet`); then one topic must be
    selected. Of a selected stream without messages there is no table in a folder.
    """

    suffix: str
    """Of the files."""
    types_divide = True
    """Whether messages of a stream that an operator gave another type go into another file."""

    def __init__(self, path: Path, *, raw: bool = False) -> None:
        # what is being written has another name for so long: .odom.parquet.saving-1234
        self._path, self._one_file = path, self.suffix in map(str.lower, path.suffixes[-2:])
        self._raw = raw
        self._losses = Losses()
        self._open: dict[tuple[str, str | None, str], OpenTable] = {}
        self._names: set[Path] = set()
        self._waiting_bytes = 0
        self.about: About

    @abstractmethod
    def open_table(self, path: Path, table: Table) -> TableFile:
        """Create the file of a table."""

    def place_of(self, row: Row) -> Place:
        """Where the table is to be that holds a message."""
        return Place(row.stream.name)

    def begin(self, about: About) -> None:
        """Create the folder, or the file.

        Raises:
            OptionError: one file is to hold several topics.
        """
        self.about = about
        if not self._one_file:
            self._path.mkdir()
        elif len(about.streams) != 1:
            raise OptionError(
                f"a {self.suffix} file holds the table of one topic, and {len(about.streams)} are "
                "selected; select one (-t /odom), or write a folder: a name without "
                f"{self.suffix}"
            )

    def write(self, row: Row, meta: Meta | None) -> bool:
        """Take a message in; it is written with those that follow.

        Raises:
            OptionError: an operator gave messages several types that must go into one file.
        """
        table = self._table_of(row)
        table.rows.append(row)
        table.metas.append(meta)
        table.bytes += len(row.data)
        self._waiting_bytes += len(row.data)
        if len(table.rows) >= _BATCH_ROWS or table.bytes >= _BATCH_BYTES:
            self.write_out(table)
        elif self._waiting_bytes >= _ALL_BATCHES_BYTES:
            self.write_out(max(self._open.values(), key=lambda one: one.bytes))
        return True

    def write_out(self, table: OpenTable) -> None:
        """Write the messages of a table that wait."""
        self._waiting_bytes -= table.bytes
        table.write(self._losses)

    def _table_of(self, row: Row) -> OpenTable:
        """The table for a message; those of its stream in earlier periods are completed."""
        place = self.place_of(row)
        table = self._open.get((row.stream.name, row.stream.type_name, place.name))
        if table is not None:
            return table
        for key, one in list(self._open.items()):
            if one.table.stream.name == row.stream.name and one.place.period < place.period:
                self.write_out(one)
                self._open.pop(key).file.close()
        return self._new_table(row.stream, place)

    def _new_table(self, stream: StreamInfo, place: Place) -> OpenTable:
        path = self._path if self._one_file else self._path / f"{place.name}{self.suffix}"
        if path in self._names and self.types_divide and not self._one_file:
            path = path.with_name(f"{path.stem}.{stream.type_name}{self.suffix}")
        if path in self._names:
            raise OptionError(
                f"the messages of {stream.topic} are of several types, which one {self.suffix} "
                f"file cannot hold; write a folder of their own: a name without {self.suffix}"
            )
        self._names.add(path)
        table = Table(stream, raw=self._raw)
        made = OpenTable(table, place, self.open_table(path, table))
        self._open[stream.name, stream.type_name, place.name] = made
        return made

    def finish(self) -> None:
        """Write what waits, and complete the files."""
        if self._one_file and not self._names:
            self._new_table(self.about.streams[0], Place(""))
        for table in self._open.values():
            self.write_out(table)
        self.close()

    def close(self) -> None:
        """Release the files."""
        while self._open:
            _, table = self._open.popitem()
            table.file.close()

    @property
    def losses(self) -> list[Loss]:
        """What has no place in a table."""
        return self._losses.listed()

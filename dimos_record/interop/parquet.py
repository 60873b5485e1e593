"""Export to Parquet: a file per stream, and import of those that were written with the raw bytes.

The format: https://parquet.apache.org/docs/file-format. `ts` is in microseconds, since Spark reads
no nanoseconds; `ts_ns` has them. Under the key `dimos_record` the metadata of a file say, as JSON,
what the table holds: topic, channel, type, stream, latched, recording, and the markers.
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from dimos_record.errors import (
    MissingExtra,
    NotARecording,
    RecordingDamaged,
    RecordingNotFound,
    StorageError,
    reason,
)
from dimos_record.interop.exporting import About
from dimos_record.interop.importing import ImportedMessage, Problem, Wanted, latched_in
from dimos_record.interop.tables import (
    POSE_COLUMNS,
    Cells,
    OpenTable,
    Table,
    TableColumn,
    TablesWriter,
)
from dimos_record.store.base import Marker, StreamInfo
from dimos_record.store.edits import is_marker
from dimos_record.store.observation import Meta, Pose

METADATA = b"dimos_record"
_ROW_GROUP_ROWS = 131_072
_ROW_GROUP_BYTES = 32_000_000
_ALL_GROUPS_BYTES = 256_000_000
"""That wait in all files together."""
_READ_BYTES = 8_000_000
"""Of payload at once, of each table."""
_BUFFER_BYTES = 1_000_000
"""Of a file at once, of each column."""
_NumberedMessage = tuple[int, int, ImportedMessage]
"""Receive time, order of arrival, and the message."""
_RAW_COLUMNS = {
    "ts_ns": "int64",
    "seq": "int64",
    **dict.fromkeys(POSE_COLUMNS, "double"),
    "tags": "string",
    "raw": "binary",
}
"""What is imported."""
_TYPES = {
    "byte": "uint8",
    "boolean": "bool_",
    "int8_t": "int8",
    "int16_t": "int16",
    "int32_t": "int32",
    "int64_t": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "json": "string",
    "bytes": "binary",
}


def arrow() -> Any:
    """The package that reads and writes Parquet.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("Parquet", "parquet") from error
    return pyarrow


class ParquetWriter(TablesWriter):
    """Writes a folder of Parquet files, or one file; see `TablesWriter`.

    Args:
        path: the folder or file.
        raw: add a column with the bytes as they came off the wire: then nothing is lost, and the
            files can be imported.

    Raises:
        MissingExtra: the package of the extra `parquet` is not installed.
    """

    suffix = ".parquet"

    def __init__(self, path: Path, *, raw: bool = False) -> None:
        arrow()
        super().__init__(path, raw=raw)
        self._files: list[ParquetFile] = []

    def open_table(self, path: Path, table: Table) -> ParquetFile:
        """Create the file of a table."""
        made = ParquetFile(path, table, self.about)
        self._files = [one for one in self._files if not one.closed]
        self._files.append(made)
        return made

    def write_out(self, table: OpenTable) -> None:
        """Write what waits; where much waits in all files together, the largest group goes."""
        super().write_out(table)
        if sum(one.waiting_bytes for one in self._files) >= _ALL_GROUPS_BYTES:
            max(self._files, key=lambda one: one.waiting_bytes).write_group()


class ParquetFile:
    """One Parquet file that is being written, in groups of rows."""

    def __init__(self, path: Path, table: Table, about: About) -> None:
        self._pa = arrow()
        self._columns = table.columns
        metadata = {METADATA: json.dumps(_description(table.stream, about))}
        fields = [(column.name, self._type_of(column)) for column in table.columns]
        self._schema = self._pa.schema(fields, metadata=metadata)
        self._file = self._pa.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self.waiting_bytes = 0
        """Of rows that are not enough for a group yet."""
        self.closed = False

    def _type_of(self, column: TableColumn) -> Any:
        if column.kind == "time":
            return self._pa.timestamp("us", tz="UTC")
        kind = getattr(self._pa, _TYPES[column.kind])()
        return self._pa.list_(kind) if column.listed else kind

    def append(self, cells: Sequence[Cells], count: int) -> None:
        """Add rows; they are written once they are enough for a group."""
        arrays = [self._array(*pair) for pair in zip(self._schema, cells, strict=True)]
        batch = self._pa.record_batch(arrays, schema=self._schema)
        self._waiting.append(batch)
        self._waiting_rows += count
        self.waiting_bytes += batch.nbytes
        if self._waiting_rows >= _ROW_GROUP_ROWS or self.waiting_bytes >= _ROW_GROUP_BYTES:
            self.write_group()

    def _array(self, field: Any, cells: Cells) -> Any:
        pa = self._pa
        if pa.types.is_timestamp(field.type):
            return pa.array(cells.values // 1000, pa.int64()).cast(field.type)
        if cells.offsets is None:
            return pa.array(cells.values, field.type, mask=cells.missing)
        items = pa.array(cells.values, field.type.value_type)
        mask = None if cells.missing is None else pa.array(cells.missing)
        offsets = pa.array(cells.offsets, pa.int32())
        return pa.ListArray.from_arrays(offsets, items, type=field.type, mask=mask)

    def write_group(self) -> None:
        """Write the rows that wait as a group."""
        table = self._pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._waiting_rows, self.waiting_bytes = [], 0, 0
        self._file.write_table(table, row_group_size=_ROW_GROUP_ROWS)

    def close(self) -> None:
        """Write the last group and the index at the end of the file."""
        if self._waiting:
            self.write_group()
        self._file.close()
        self.closed = True


def _description(stream: StreamInfo, about: About) -> dict[str, Any]:
    return {
        "recording": Path(about.name).name,
        "stream": stream.name,
        "topic": stream.topic,
        "channel": stream.channel,
        "type": stream.type_name,
        "latched": stream.latched,
        "markers": [marker._asdict() for marker in about.markers],
    }


class ParquetImport:
    """The messages of Parquet files that were exported with `raw`; an `ImportSource`.

    Raises:
        MissingExtra: the package of the extra `parquet` is not installed.
        RecordingNotFound: there is no such file or folder.
        NotARecording: a file in it is no Parquet, or has not been written with the raw bytes.
        RecordingDamaged: a file is truncated or damaged.
        StorageError: it cannot be read.
    """

    unit: Literal["messages", "bytes"] = "messages"

    def __init__(self, path: Path) -> None:
        self.path, self.done = path, 0
        if not path.exists():
            raise RecordingNotFound(f"there is no file {path}")
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        self._tables = [_RawTable(one) for one in files]

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(one.count for one in self._tables)

    @property
    def start_ns(self) -> int | None:
        """When the first message was received."""
        return min((one.start_ns for one in self._tables if one.start_ns is not None), default=None)

    @property
    def latched(self) -> frozenset[str]:
        """Topics that were latched when they were recorded."""
        return frozenset(one.topic for one in self._tables if one.latched)

    @property
    def problems(self) -> list[Problem]:
        """There are none: bytes are taken over as they are."""
        return []

    @property
    def markers(self) -> list[Marker]:
        """Those of the recordings that were exported."""
        found = {json.dumps(one): one for table in self._tables for one in table.markers}
        return [Marker(**one) for one in found.values()]

    def messages(self, wanted: Wanted) -> Iterator[ImportedMessage]:
        """The wanted messages in the order of time, and of arrival.

        Raises:
            RecordingDamaged: a part of a file cannot be read.
        """
        self.done = 0
        chosen = [one for one in self._tables if wanted.topic(one.topic, one.type_name)]
        latched = {
            (one.topic, one.type_name): latched_in(self, one.topic, one.type_name) for one in chosen
        }
        for message in _merged(chosen):
            self.done += 1
            if wanted.time(message.ts_ns, latched=latched[message.topic, message.type_name]):
                yield message

    def close(self) -> None:
        """Nothing is open but the files whose messages are being read."""


def _merged(tables: Sequence[_RawTable]) -> Iterator[ImportedMessage]:
    """The messages in the order of time and arrival.

    A file is open from its first message to its last: a data set has more than may be open at once.
    """
    waiting = deque(sorted((one for one in tables if one.count), key=lambda one: one.start_ns or 0))
    heap: list[tuple[int, int, int, ImportedMessage, Iterator[_NumberedMessage]]] = []
    while waiting or heap:
        while waiting and (not heap or (waiting[0].start_ns or 0) <= heap[0][0]):
            rows = waiting.popleft().rows()
            ts_ns, seq, message = next(rows)
            heapq.heappush(heap, (ts_ns, seq, len(waiting), message, rows))
        _, _, table, message, rows = heap[0]
        yield message
        following = next(rows, None)
        if following is None:
            heapq.heappop(heap)
        else:
            ts_ns, seq, message = following
            heapq.heapreplace(heap, (ts_ns, seq, table, message, rows))


class _RawTable:
    """One Parquet file with a column of raw bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as file:
            self._describe(file.schema_arrow)
            self.count: int = file.metadata.num_rows
            """Rows, which are messages."""
            first = next(self._batches(file, 1, ["ts_ns"]), {"ts_ns": [None]})
            self.start_ns: int | None = first["ts_ns"][0]

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with _reading(self._path):
            # by default the whole file is read ahead
            file = arrow().parquet.ParquetFile(
                self._path, pre_buffer=False, buffer_size=_BUFFER_BYTES
            )
        try:
            yield file
        finally:
            file.close()

    def _describe(self, schema: Any) -> None:
        found = {field.name: str(field.type) for field in schema}
        for name, kind in _RAW_COLUMNS.items():
            if found.get(name) != kind:
                raise NotARecording(
                    f"{self._path} has no column {name!r} of {kind}; only Parquet that was "
                    "exported with --raw can be imported"
                )
        try:
            told = json.loads((schema.metadata or {})[METADATA])
            self.topic, self.channel = str(told["topic"]), str(told["channel"])
            self.type_name = None if told["type"] is None else str(told["type"])
            self.latched = bool(told["latched"])
            self.markers: list[dict[str, Any]] = list(told["markers"])
            if not all(is_marker(Marker(**one)) for one in self.markers):
                raise ValueError("what it says of its markers is wrong")
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise NotARecording(
                f"{self._path} does not say which topic it holds; only Parquet that was exported "
                "by dimos-record with --raw can be imported"
            ) from error

    def rows(self) -> Iterator[_NumberedMessage]:
        """The messages with their receive times and order of arrival, some at a time."""
        with self._opened() as file:
            for batch in self._batches(file, _rows_at_once(file.metadata), list(_RAW_COLUMNS)):
                yield from self._messages(batch)

    def _messages(self, batch: dict[str, list[Any]]) -> Iterator[_NumberedMessage]:
        poses = zip(*(batch[name] for name in POSE_COLUMNS), strict=True)
        for ts_ns, seq, tags, raw, pose in zip(
            batch["ts_ns"], batch["seq"], batch["tags"], batch["raw"], poses, strict=True
        ):
            if ts_ns is None or seq is None or raw is None:
                raise RecordingDamaged(
                    f"{self._path} has a row without its time, its number or its bytes; "
                    "export it again"
                )
            message = ImportedMessage(self.topic, self.type_name, raw, ts_ns, ts_ns)
            meta = self._meta(pose, tags) if tags or pose[0] is not None else None
            yield ts_ns, seq, message._replace(channel=self.channel, meta=meta)

    def _meta(self, pose: tuple[float | None, ...], tags: str | None) -> Meta:
        try:
            there = None if None in pose else Pose(*pose)  # type: ignore[arg-type]
            return Meta(there, dict(json.loads(tags)) if tags else {})
        except (TypeError, ValueError, RecursionError) as error:
            raise RecordingDamaged(f"{self._path} has tags that are no JSON object") from error

    def _batches(self, file: Any, rows: int, columns: list[str]) -> Iterator[dict[str, list[Any]]]:
        batches = file.iter_batches(rows, columns=columns)
        while True:
            with _reading(self._path):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch.to_pydict()


def _rows_at_once(metadata: Any) -> int:
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    size: int = sum(group.total_byte_size for group in groups)
    rows: int = metadata.num_rows
    return max(1, min(4096, _READ_BYTES * rows // max(size, 1)))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors of pyarrow into ours.

    Raises:
        NotARecording, RecordingDamaged, StorageError
    """
    try:
        yield
    except arrow().ArrowInvalid as error:
        if path.stat().st_size < 12 or path.read_bytes()[:4] != b"PAR1":
            raise NotARecording(f"{path} is no Parquet file") from error
        raise RecordingDamaged(f"{path} is truncated or damaged: {reason(error)}") from error
    except OSError as error:
        if error.errno is None:  # pyarrow's own, for damaged pages
            raise RecordingDamaged(f"{path} is truncated or damaged: {reason(error)}") from error
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error

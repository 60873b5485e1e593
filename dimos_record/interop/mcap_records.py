"""The records of MCAP files (https://mcap.dev/spec) in the order of their log time."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dimos_record.errors import (
    MissingExtra,
    NotARecording,
    RecordingDamaged,
    RecordingNotFound,
    StorageError,
    reason,
)

_MAGIC = b"\x89MCAP0\r\n"
# As rosbag2 writes the quality of service: by name, in older versions as rmw's number.
_TRANSIENT_LOCAL = re.compile(r"durability: (transient_local|1)\b")


class McapRecords:
    """The records of an MCAP file. Close it.

    A file with an index is read chunk by chunk. One without is read through once, to count its
    messages and see whether they are in order, before it is read again.

    Raises:
        MissingExtra: the packages of the extra `mcap` are not installed.
        RecordingNotFound: there is no such file.
        NotARecording: it is something else than an MCAP file.
        RecordingDamaged: its end is missing, or its index cannot be read.
        StorageError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            import mcap.exceptions
            import mcap.reader
            import zstandard
        except ImportError:
            raise MissingExtra("importing MCAP", "mcap") from None
        self._path = path
        self._reader_module = mcap.reader
        self._damage = (
            mcap.exceptions.McapError,
            zstandard.ZstdError,
            struct.error,
            ValueError,  # a checksum, or a name that is not UTF-8
            KeyError,  # a message of a channel that is nowhere described
            RuntimeError,  # LZ4
            MemoryError,  # a length that no file has
            OverflowError,  # or that no file could have
            OSError,  # a place that no file has, or the disk
        )
        self._indexed = False
        self._in_order = True
        self.total = 0
        """Messages in the file."""
        self.start_ns: int | None = None
        """The first log time."""
        self.latched: frozenset[str] = frozenset()
        """Topics whose last message stays valid for late subscribers."""
        self._metadata: list[Any] = []
        self._stream = _open(path)
        try:
            self._survey()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._stream.close()

    def metadata(self, name: str) -> Iterator[dict[str, str]]:
        """The metadata records of a name that the index lists, read as they are asked for.

        Raises:
            RecordingDamaged: one cannot be read.
        """
        from mcap.records import Metadata
        from mcap.stream_reader import StreamReader

        for index in self._metadata:
            if index.name != name:
                continue
            try:
                self._stream.seek(index.offset)
                record = next(StreamReader(self._stream, skip_magic=True).records)
            except (*self._damage, StopIteration) as error:
                raise RecordingDamaged(f"{self._path} is damaged: {reason(error)}") from error
            if isinstance(record, Metadata):
                yield record.metadata

    def messages(self) -> Iterator[tuple[Any, Any, Any]]:
        """(schema or None, channel, message) of every message."""
        done = 0
        records = self._open_records(log_time_order=self._indexed or not self._in_order)
        while True:
            try:
                record = next(records, None)
            except self._damage as error:
                raise RecordingDamaged(
                    f"{self._path} is damaged after {done} of {self.total} messages: "
                    f"{reason(error)}"
                ) from error
            if record is None:
                break
            done += 1
            yield record
        if done != self.total:
            raise RecordingDamaged(
                f"{self._path} is damaged: {done} of the {self.total} messages that it counts "
                "were found"
            )

    def _open_records(self, *, log_time_order: bool) -> Iterator[tuple[Any, Any, Any]]:
        self._stream.seek(0)
        kind = self._reader_module
        reader_class = kind.SeekingReader if self._indexed else kind.NonSeekingReader
        reader = reader_class(self._stream, validate_crcs=True)
        records: Iterator[tuple[Any, Any, Any]] = reader.iter_messages(
            log_time_order=log_time_order
        )
        return records

    def _survey(self) -> None:
        try:
            summary = self._reader_module.SeekingReader(self._stream).get_summary()
            statistics = summary.statistics if summary else None
            self._metadata = summary.metadata_indexes if summary else []
            if summary and statistics and summary.channels and summary.chunk_indexes:
                self._indexed = True
                channels = summary.channels
            else:
                channels = self._count()
            if statistics:
                self.total = statistics.message_count
                self.start_ns = statistics.message_start_time if self.total else None
        except self._damage as error:
            raise RecordingDamaged(f"{self._path} is damaged: {reason(error)}") from error
        self.latched = frozenset(
            channel.topic
            for channel in channels.values()
            if _TRANSIENT_LOCAL.search(channel.metadata.get("offered_qos_profiles", ""))
        )

    def _count(self) -> dict[int, Any]:
        channels, latest = {}, 0
        for _, channel, message in self._open_records(log_time_order=False):
            self.total += 1
            channels[channel.id] = channel
            if self.start_ns is None or message.log_time < self.start_ns:
                self.start_ns = message.log_time
            self._in_order = self._in_order and message.log_time >= latest
            latest = max(latest, message.log_time)
        return channels


def _open(path: Path) -> IO[bytes]:
    """Open a file that begins and ends as an MCAP file does."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise RecordingNotFound(f"there is no file {path}") from None
    except IsADirectoryError:
        raise NotARecording(f"{path} is a folder; name an MCAP file in it") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    start = stream.read(len(_MAGIC))
    if start != _MAGIC:
        stream.close()
        what = "is not an MCAP file" if start else "is empty; an MCAP file was expected"
        raise NotARecording(f"{path} {what}")
    size = stream.seek(0, 2)
    stream.seek(-len(_MAGIC), 2)
    if size < 2 * len(_MAGIC) or stream.read() != _MAGIC:
        stream.close()
        raise RecordingDamaged(
            f"{path} is cut off after {size} bytes; `mcap recover` of the MCAP tools saves "
            "what is in it"
        )
    stream.seek(0)
    return stream

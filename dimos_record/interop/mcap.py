"""Import of MCAP files that hold ROS 2 messages (what `ros2 bag record` writes).

The format: https://mcap.dev/spec. Messages become LCM messages of the same name (`ros2.py`); what
cannot is listed in `McapImport.problems`, never left out silently.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from dimos_record.errors import (
    DecodeError,
    MissingExtra,
    NotARecording,
    RecordingDamaged,
    RecordingNotFound,
    StorageError,
)
from dimos_record.interop.importing import ImportedMessage, Problem, Wanted, latched_in
from dimos_record.interop.ros2 import Ros2Converter, lcm_type_name
from dimos_record.store.base import Marker

_MAGIC = b"\x89MCAP0\r\n"
# As rosbag2 writes the quality of service: by name, in older versions as rmw's number.
_TRANSIENT_LOCAL = re.compile(r"durability: (transient_local|1)\b")


class McapImport:
    """The messages of an MCAP file, converted to LCM. Close it, or use it as a context manager.

    Raises:
        MissingExtra: the packages of the extra `mcap` are not installed.
        RecordingNotFound: there is no such file.
        NotARecording: it is something else than an MCAP file.
        RecordingDamaged: its end is missing, or its index cannot be read.
        StorageError: it cannot be read.
    """

    unit: Literal["messages", "bytes"] = "messages"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.done = 0
        """Messages read so far, of `total`."""
        self._problems: dict[tuple[str, str, str, bool], int] = {}
        self._stream = _open(self.path)
        try:
            self._source = _Source(self._stream, self.path)
        except BaseException:
            self.close()
            raise

    @property
    def total(self) -> int:
        """Number of messages in the file."""
        return self._source.total

    @property
    def latched(self) -> frozenset[str]:
        """Topics whose last message stays valid for late subscribers (ROS 2: transient local)."""
        return self._source.latched

    @property
    def problems(self) -> list[Problem]:
        """What could not be taken over so far, by topic; complete once `messages` has ended."""
        return sorted(
            Problem(topic, schema, reason, count, imported)
            for (topic, schema, reason, imported), count in self._problems.items()
        )

    @property
    def start_ns(self) -> int | None:
        """The first log time; None without messages."""
        return self._source.start_ns

    @property
    def markers(self) -> Sequence[Marker]:
        """None: MCAP has no place for them."""
        return ()

    def messages(self, wanted: Wanted | None = None) -> Iterator[ImportedMessage]:
        """The wanted messages in the order of their log time, converted as they are asked for.

        Raises:
            RecordingDamaged: a part of the file cannot be read; the sentence says after how many
                messages.
        """
        self.done = 0
        self._problems.clear()
        wanted = wanted or Wanted()
        converters: dict[int, Ros2Converter | DecodeError] = {}
        for schema, channel, message in self._source.records():
            self.done += 1
            type_name = lcm_type_name(schema.name) if schema else None
            latched = latched_in(self, channel.topic, type_name)
            if not wanted.topic(channel.topic, type_name) or not wanted.time(
                message.log_time, latched=latched
            ):
                continue
            if channel.id not in converters:
                converters[channel.id] = _converter(schema, channel)
            try:
                data, type_name = self._convert(converters[channel.id], schema, channel, message)
            except DecodeError as error:
                self._note(schema, channel, str(error), imported=False)
                continue
            yield ImportedMessage(
                channel.topic, type_name, data, message.log_time, message.publish_time
            )

    def _convert(
        self, converter: Ros2Converter | DecodeError, schema: Any, channel: Any, message: Any
    ) -> tuple[bytes, str]:
        if isinstance(converter, DecodeError):
            raise converter
        data, notes = converter.convert(message.data)
        for note in notes:
            self._note(schema, channel, note, imported=True)
        return data, converter.type_name

    def _note(self, schema: Any, channel: Any, reason: str, *, imported: bool) -> None:
        key = (channel.topic, schema.name if schema else "", reason, imported)
        self._problems[key] = self._problems.get(key, 0) + 1

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._stream.close()

    def __enter__(self) -> McapImport:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Source:
    """The records of an open MCAP file, in the order of their log time.

    A file with an index is read chunk by chunk. One without is read through once, to count its
    messages and see whether they are in order, before it is read again.
    """

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        try:
            import mcap.exceptions
            import mcap.reader
            import zstandard
        except ImportError:
            raise MissingExtra("importing MCAP", "mcap") from None
        self._stream = stream
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
            OSError,  # a place that no file has, or the disk
        )
        self._indexed = False
        self._in_order = True
        self.total = 0
        self.start_ns: int | None = None
        self.latched: frozenset[str] = frozenset()
        self._survey()

    def records(self) -> Iterator[tuple[Any, Any, Any]]:
        """(schema or None, channel, message) of every message."""
        done = 0
        records = self._open_records(log_time_order=self._indexed or not self._in_order)
        while True:
            try:
                record = next(records, None)
            except self._damage as error:
                raise RecordingDamaged(
                    f"{self._path} is damaged after {done} of {self.total} messages: "
                    f"{_reason(error)}"
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
            if summary and statistics and summary.channels and summary.chunk_indexes:
                self._indexed = True
                channels = summary.channels
            else:
                channels = self._count()
            if statistics:
                self.total = statistics.message_count
                self.start_ns = statistics.message_start_time if self.total else None
        except self._damage as error:
            raise RecordingDamaged(f"{self._path} is damaged: {_reason(error)}") from error
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
            self.start_ns = min(self.start_ns or message.log_time, message.log_time)
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


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _converter(schema: Any, channel: Any) -> Ros2Converter | DecodeError:
    """What converts a channel's messages, or why nothing can."""
    if channel.message_encoding != "cdr":
        return DecodeError(f"the message encoding is {channel.message_encoding!r}, not 'cdr'")
    if schema is None:
        return DecodeError("the channel has no schema")
    if schema.encoding != "ros2msg":
        return DecodeError(f"the schema encoding is {schema.encoding!r}, not 'ros2msg'")
    try:
        return Ros2Converter(schema.name, schema.data)
    except DecodeError as error:
        return error

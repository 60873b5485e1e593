"""Import of MCAP files: messages of ROS 2 (what `ros2 bag record` writes) and of ROS 1 (what
`mcap convert` makes of a bag), and our own exports.

Messages become LCM messages of the same name (`ros2.py`, `ros1.py`); what cannot is listed in
`McapImport.problems`, never left out silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dimos_record.errors import DecodeError, RecordingDamaged, reason
from dimos_record.interop import mcap_names as names
from dimos_record.interop.importing import ImportedMessage, Problem, Wanted, latched_in
from dimos_record.interop.mcap_records import McapRecords
from dimos_record.interop.problems import Problems
from dimos_record.interop.ros1 import Ros1Converter, ros1_type_name
from dimos_record.interop.ros2 import Converted, Ros2Converter, lcm_type_name
from dimos_record.interop.ros2_definitions import schema_name
from dimos_record.store.base import Marker
from dimos_record.store.observation import Meta

_Convert = Callable[[bytes, names.Seqs], Converted]


class McapImport:
    """The messages of an MCAP file, converted to LCM. Close it, or use it as a context manager.

    Raises:
        MissingExtra, RecordingNotFound, NotARecording, RecordingDamaged, StorageError: see
            `McapRecords`.
    """

    unit: Literal["messages", "bytes"] = "messages"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.done = 0
        """Messages read so far, of `total`."""
        self._problems = Problems()
        self._records = McapRecords(self.path)

    @property
    def total(self) -> int:
        """Number of messages in the file."""
        return self._records.total

    @property
    def latched(self) -> frozenset[str]:
        """Topics whose last message stays valid for late subscribers (ROS 2: transient local)."""
        return self._records.latched

    @property
    def problems(self) -> list[Problem]:
        """What could not be taken over so far, by topic; complete once `messages` has ended."""
        return self._problems.listed()

    @property
    def start_ns(self) -> int | None:
        """The first log time; None without messages."""
        return self._records.start_ns

    @property
    def markers(self) -> Sequence[Marker]:
        """Those that our export writes.

        Raises:
            RecordingDamaged: one cannot be read.
        """
        found = enumerate(self._records.metadata(names.MARKER), start=1)
        try:
            return [names.marker_of(number, record) for number, record in found]
        except ValueError as error:
            raise RecordingDamaged(
                f"{self.path} is damaged: a marker cannot be read: {reason(error)}"
            ) from error

    def messages(self, wanted: Wanted | None = None) -> Iterator[ImportedMessage]:
        """The wanted messages in the order of their log time, converted as they are asked for.

        Raises:
            RecordingDamaged: a part of the file cannot be read; the sentence says after how many
                messages.
        """
        self.done = 0
        self._problems.clear()
        wanted = wanted or Wanted()
        channels: dict[int, _Channel] = {}
        meta = _MetaOfMessages(self._records, self.path)
        for schema, channel, message in self._records.messages():
            self.done += 1
            if channel.id not in channels:
                channels[channel.id] = _Channel(schema, channel)
            found = channels[channel.id]
            name = schema.name if schema else ""
            beside = meta.of(found.wire_name or channel.topic, message.log_time)
            latched = latched_in(self, channel.topic, found.type_name)
            if not wanted.topic(channel.topic, found.type_name) or not wanted.time(
                message.log_time, latched=latched
            ):
                continue
            try:
                if message.log_time > names.LAST_NS:
                    raise DecodeError("its log time is beyond the year 2262")
                data, notes = found.convert(message)
            except DecodeError as error:
                self._problems.note(channel.topic, name, str(error), imported=False)
                continue
            for note in notes:
                self._problems.note(channel.topic, name, note, imported=True)
            yield ImportedMessage(
                channel.topic,
                found.type_name,
                data,
                message.log_time,
                message.publish_time,
                found.wire_name,
                beside,
            )

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._records.close()

    def __enter__(self) -> McapImport:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Channel:
    """What is known of a channel, and what converts its messages."""

    def __init__(self, schema: Any, channel: Any) -> None:
        self.type_name = _type_name(schema, channel)
        self.wire_name: str | None = channel.metadata.get(names.CHANNEL)
        self._seq_of = channel.metadata.get(names.SEQ_OF)
        self._schema, self._channel = schema, channel

    @cached_property
    def _converter(self) -> _Convert | DecodeError:
        try:
            return _converter(self._schema, self._channel, self.type_name)
        except DecodeError as error:
            return error

    def convert(self, message: Any) -> Converted:
        """A message as LCM bytes.

        Raises:
            DecodeError: it cannot be converted.
        """
        if isinstance(self._converter, DecodeError):
            raise self._converter
        return self._converter(message.data, lambda: names.seqs_of(self._seq_of, message.sequence))


def _type_name(schema: Any, channel: Any) -> str | None:
    """The LCM type: what our export says, if it can be, or that of the name of the schema."""
    said: str | None = channel.metadata.get(names.TYPE)
    if schema is None or channel.message_encoding == "lcm":
        return said
    if said and schema_name(said) == schema.name:
        return said
    return (
        ros1_type_name(schema.name) if schema.encoding == "ros1msg" else lcm_type_name(schema.name)
    )


def _converter(schema: Any, channel: Any, type_name: str | None) -> _Convert:
    """What converts a channel's messages.

    Raises:
        DecodeError: nothing can.
    """
    encodings = (channel.message_encoding, schema.encoding if schema else None)
    if encodings[0] == "lcm":
        return lambda data, seqs: Converted(data, ())
    if encodings == ("cdr", "ros2msg"):
        return Ros2Converter(schema.name, schema.data, type_name).convert
    if encodings == ("ros1", "ros1msg"):
        from_ros1 = Ros1Converter(schema.name, schema.data.decode("utf-8", "replace"))
        return lambda data, seqs: from_ros1.convert(data)
    if schema is None and encodings[0] in ("cdr", "ros1"):
        raise DecodeError("the channel has no schema")
    if encodings[0] in ("cdr", "ros1"):
        raise DecodeError(f"the schema encoding is {schema.encoding!r}, not 'ros2msg' or 'ros1msg'")
    raise DecodeError(f"the message encoding is {encodings[0]!r}, not 'cdr', 'ros1' or 'lcm'")


class _MetaOfMessages:
    """Poses and tags that our export writes in batches, behind the messages that have them."""

    def __init__(self, records: McapRecords, path: Path) -> None:
        self._batches = records.metadata(names.OBSERVATIONS)
        self._path = path
        self._counts: Counter[str] = Counter()
        self._known: dict[str, str] = {}
        self._until_ns = -1

    def of(self, channel: str, log_time_ns: int) -> Meta | None:
        """What belongs to the next message of a channel.

        Raises:
            RecordingDamaged: it cannot be read.
        """
        self._counts[channel] += 1
        try:
            while self._until_ns <= log_time_ns:
                self._read_batch()
            if not self._known:
                return None
            key = names.observation(channel, self._counts[channel])
            stored = self._known.pop(key, None)
            return None if stored is None else names.meta_of(stored)
        except ValueError as error:
            raise RecordingDamaged(
                f"{self._path} is damaged: what stands beside a message cannot be read: "
                f"{reason(error)}"
            ) from error

    def _read_batch(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            self._until_ns = 2**64
        else:
            self._known.update(batch)
            self._until_ns = names.time_of(self._known.pop(names.UNTIL, ""))

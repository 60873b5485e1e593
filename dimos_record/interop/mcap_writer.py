"""Export to MCAP: ROS 2 messages for Foxglove and rosbag2, or the LCM bytes as they are.

The format: https://mcap.dev/spec, and its profile for ROS 2: https://mcap.dev/spec/registry. What
such a file has no place for goes into the metadata of its channels, where `McapImport` looks for
it (`mcap_names.py`), so that nothing gets lost on the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Literal

from dimos_record.errors import DecodeError, MissingExtra, OptionError
from dimos_record.interop import mcap_names as names
from dimos_record.interop.cdr import Cdr, cdr_codec
from dimos_record.interop.exporting import About, Loss, Losses
from dimos_record.interop.ros2_definitions import definition, schema_name
from dimos_record.store.base import Row, StreamInfo
from dimos_record.store.observation import Meta

_COMPRESSIONS = ("zstd", "lz4", "none")
_ENCODINGS = ("ros2", "lcm")
_LCM_CODECS = ("lcm", "lz4+lcm", "jpeg", "json")
"""Codecs of streams whose messages are LCM messages; of `json` they are a std_msgs.String."""
_META_BATCH = 1000

# As rosbag2 writes it for a publisher whose last message stays valid.
_LATCHED = """- history: keep_last
  depth: 1
  reliability: reliable
  durability: transient_local
  deadline:
    sec: 9223372036
    nsec: 854775807
  lifespan:
    sec: 9223372036
    nsec: 854775807
  liveliness: automatic
  liveliness_lease_duration:
    sec: 9223372036
    nsec: 854775807
  avoid_ros_namespace_conventions: false"""

_UNSIGNED_32 = 2**32 - 1


class McapWriter:
    """Writes one MCAP file.

    The log time is the time of reception. The publish time is that of the tag `publish_ns`, which
    an import leaves where a file has one; else it is the log time, as the format wants it where it
    is not known. The sequence is the `seq` of the message's header, which ROS 2 lacks; for a type
    without one it counts the messages of the topic. Topics that are latched are offered as
    transient local. Markers are metadata records.

    Args:
        path: the file to write.
        encoding: `ros2` writes types that ROS 2 has as CDR with their definition, and others as
            their LCM bytes; `lcm` writes the LCM bytes of all.
        compression: of the chunks: `zstd`, `lz4` or `none`.
        chunk_bytes: size of a chunk before it is compressed.

    Raises:
        OptionError: an option has no such value.
    """

    def __init__(
        self,
        path: Path,
        *,
        encoding: Literal["ros2", "lcm"] = "ros2",
        compression: Literal["zstd", "lz4", "none"] = "zstd",
        chunk_bytes: int = 1_048_576,
    ) -> None:
        if encoding not in _ENCODINGS:
            known = " or ".join(_ENCODINGS)
            raise OptionError(f"encoding {encoding!r} is unknown; write {known}")
        if compression not in _COMPRESSIONS:
            known = ", ".join(_COMPRESSIONS)
            raise OptionError(f"compression {compression!r} is unknown; use one of {known}")
        if chunk_bytes < 1:
            raise OptionError(f"chunk_bytes must be at least 1, not {chunk_bytes}")
        self._path, self._encoding = path, encoding
        self._compression, self._chunk_bytes = compression, chunk_bytes
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._losses = Losses()
        self._topics: dict[str, _Topic] = {}
        self._schemas: dict[tuple[str, str], int] = {}
        self._meta: dict[str, str] = {}

    @property
    def losses(self) -> list[Loss]:
        """What could not be carried so far, by topic."""
        return self._losses.listed()

    def begin(self, about: About) -> None:
        """Create the file, and write its markers.

        Raises:
            MissingExtra: the package `mcap` is not installed.
        """
        try:
            from mcap.writer import CompressionType, Writer
        except ImportError:
            raise MissingExtra("exporting MCAP", "mcap") from None
        self._file = self._path.open("xb")
        self._writer = Writer(
            self._file,
            chunk_size=self._chunk_bytes,
            compression=CompressionType[self._compression.upper()],
        )
        profile = "ros2" if self._encoding == "ros2" else ""
        self._writer.start(profile=profile, library=f"dimos-record {version('dimos-record')}")
        self._writer.add_metadata(names.RECORDING, {"name": Path(about.name).name})
        for marker in about.markers:
            self._writer.add_metadata(names.MARKER, names.marker_record(marker))

    def write(self, row: Row, meta: Meta | None) -> bool:
        """Write one message; False for those that are no LCM messages."""
        stream = row.stream
        if stream.codec not in _LCM_CODECS:
            self._losses.note(stream.topic, f"is no LCM message ({stream.codec}): left out")
            return False
        if row.ts_ns < 0:
            self._losses.note(stream.topic, "is from before 1970, which MCAP cannot say: left out")
            return False
        topic = self._topics.get(stream.channel)
        if topic is None:
            topic = self._topics[stream.channel] = _Topic(stream, self._encoding == "ros2")
        topic.count += 1
        cdr = topic.cdr(row.data, self._losses)
        publish_ns = self._published(row, meta, topic)
        if cdr is None:
            channel, data, sequence = self._lcm_channel(topic), row.data, topic.count
        else:
            seq_of = names.which_headers(cdr.seqs)
            if seq_of is None:
                self._losses.note(stream.topic, "seq of the headers inside the message")
            channel = self._cdr_channel(topic, seq_of or names.FIRST)
            data, sequence = cdr.data, cdr.seqs[0] if cdr.seqs else topic.count
        self._writer.add_message(channel, row.ts_ns, data, publish_ns, sequence & _UNSIGNED_32)
        return True

    def _published(self, row: Row, meta: Meta | None, topic: _Topic) -> int:
        """When a message was published; its pose and its other tags are kept for later."""
        if meta is None:
            return row.ts_ns
        tags, publish_ns = dict(meta.tags), row.ts_ns
        tagged = tags.get("publish_ns")
        if isinstance(tagged, int) and 0 <= tagged <= names.LAST_NS and tagged != row.ts_ns:
            publish_ns = tags.pop("publish_ns")
        if meta.pose is not None or tags:
            key = names.observation(row.stream.channel, topic.count)
            self._meta[key] = names.meta_text(meta.pose, tags)
            if len(self._meta) >= _META_BATCH:
                self._flush_meta(row.ts_ns)
        return publish_ns

    def _flush_meta(self, until_ns: int) -> None:
        """Write what is known of messages, the last of them included."""
        if self._meta:
            self._meta[names.UNTIL] = str(until_ns)
            self._writer.add_metadata(names.OBSERVATIONS, self._meta)
            self._meta = {}

    def _lcm_channel(self, topic: _Topic) -> int:
        # `mcap doctor` wants a schema for every channel, though the format does not
        named = topic.stream.type_name or "unknown"
        return topic.channel(
            "lcm",
            lambda: self._register(topic.stream, "lcm", self._schema(named, "lcm", ""), {}),
        )

    def _cdr_channel(self, topic: _Topic, seq_of: str) -> int:
        type_name = topic.stream.type_name or ""

        def register() -> int:
            schema = self._schema(schema_name(type_name) or "", "ros2msg", definition(type_name))
            return self._register(topic.stream, "cdr", schema, {names.SEQ_OF: seq_of})

        return topic.channel(seq_of, register)

    def _schema(self, name: str, encoding: str, text: str) -> int:
        if (name, encoding) not in self._schemas:
            found: int = self._writer.register_schema(name, encoding, text.encode())
            self._schemas[name, encoding] = found
        return self._schemas[name, encoding]

    def _register(
        self, stream: StreamInfo, encoding: str, schema: int, more: dict[str, str]
    ) -> int:
        metadata = {names.CHANNEL: stream.channel, **more}
        if stream.type_name is not None:
            metadata[names.TYPE] = stream.type_name
        if stream.latched:
            metadata["offered_qos_profiles"] = _LATCHED
        found: int = self._writer.register_channel(stream.topic, encoding, schema, metadata)
        return found

    def finish(self) -> None:
        """Write the index; the file is complete."""
        self._flush_meta(names.LAST_NS)
        self._writer.finish()
        self.close()

    def close(self) -> None:
        """Release the file, complete or not. Closing twice is harmless."""
        if self._file is not None:
            self._file.close()


class _Topic:
    """What is written of one topic, and the channels that it has in the file."""

    def __init__(self, stream: StreamInfo, as_cdr: bool) -> None:
        self.stream = stream
        self.count = 0
        self._as_cdr = as_cdr
        self._codec = cdr_codec(stream.type_name) if as_cdr and stream.type_name else None
        self._channels: dict[str, int] = {}

    def cdr(self, data: bytes, losses: Losses) -> Cdr | None:
        """A message for ROS 2; None if it must be written as LCM bytes."""
        if not self._as_cdr:
            return None
        if self._codec is None:
            named = self.stream.type_name
            reason = f"ROS 2 has no {named}" if named else "the channel names no type"
            losses.note(self.stream.topic, f"{reason}: written as LCM bytes")
            return None
        try:
            return self._codec.to_cdr(data)
        except DecodeError as error:
            reason = str(error).rstrip(".")
            losses.note(self.stream.topic, f"{reason}: written as LCM bytes")
            return None

    def channel(self, kind: str, register: Callable[[], int]) -> int:
        """The channel for messages of a kind, registered when the first of them comes."""
        if kind not in self._channels:
            self._channels[kind] = register()
        return self._channels[kind]

"""Import of ROS bags: the files of ROS 1, and the folders that ROS 2 records into.

The library `rosbags` reads them, but for folders of MCAP files, which are read as MCAP files are
(that keeps publish times). Messages become LCM messages of the same name (`ros1.py`, `ros2.py`).
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from dimos_record.errors import DecodeError, MissingExtra, NotARecording, RecordingDamaged, reason
from dimos_record.interop.importing import (
    ImportedMessage,
    ImportSource,
    Problem,
    Wanted,
    latched_in,
)
from dimos_record.interop.mcap import McapImport
from dimos_record.interop.problems import Problems
from dimos_record.interop.ros1 import Ros1Converter, ros1_type_name
from dimos_record.interop.ros2 import Ros2Converter, lcm_type_name
from dimos_record.interop.ros2_definitions import definition, schema_name
from dimos_record.store.base import Marker

_ROS1 = b"#ROSBAG"


class BagImport:
    """The messages of a bag, converted to LCM. Close it, or use it as a context manager.

    Args:
        path: a `.bag` file of ROS 1, a folder of ROS 2 with its metadata.yaml, or a `.db3` file of
            such a folder.

    Raises:
        MissingExtra: the package `rosbags` is not installed.
        NotARecording: it is no bag.
        RecordingDamaged: its index cannot be read.
    """

    unit: Literal["messages", "bytes"] = "messages"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._parts = _parts(self.path)

    @property
    def done(self) -> int:
        """Messages read so far, of `total`."""
        return sum(part.done for part in self._parts)

    @property
    def total(self) -> int:
        """Messages in the bag."""
        return sum(part.total for part in self._parts)

    @property
    def start_ns(self) -> int | None:
        """When the first message was received; None without messages."""
        return min((one.start_ns for one in self._parts if one.start_ns is not None), default=None)

    @property
    def latched(self) -> frozenset[str]:
        """Topics whose last message stays valid: latched, or in ROS 2 transient local."""
        return frozenset().union(*(part.latched for part in self._parts))

    @property
    def problems(self) -> list[Problem]:
        """What could not be taken over so far, by topic."""
        return sorted(problem for part in self._parts for problem in part.problems)

    @property
    def markers(self) -> Sequence[Marker]:
        """Those of MCAP files that we have exported; bags have no place for them."""
        return [marker for part in self._parts for marker in part.markers]

    def messages(self, wanted: Wanted | None = None) -> Iterator[ImportedMessage]:
        """The wanted messages in the order of time, converted as they are asked for.

        Raises:
            RecordingDamaged: a part of the bag cannot be read; the sentence says after how many
                messages.
        """
        for part in self._parts:
            yield from part.messages(wanted or Wanted())

    def close(self) -> None:
        """Release the files. Closing twice is harmless."""
        for part in self._parts:
            part.close()

    def __enter__(self) -> BagImport:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _parts(path: Path) -> Sequence[ImportSource]:
    """What a bag consists of, in the order of time."""
    files = sorted(path.glob("*.mcap")) if path.is_dir() else []
    if not files:
        return [_Bag(path)]
    with ExitStack() as opened:
        parts = [opened.enter_context(McapImport(file)) for file in files]
        opened.pop_all()
    return sorted(parts, key=lambda part: part.start_ns or 0)


class _Bag:
    """What `rosbags` reads."""

    unit: Literal["messages", "bytes"] = "messages"
    markers: Sequence[Marker] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = 0
        self._problems = Problems()
        self._is_ros1 = _begins_as_ros1(path)
        self._reader: Any = _open(path, self._is_ros1)
        self.total: int = self._reader.message_count
        self.start_ns: int | None = self._reader.start_time if self.total else None
        self.latched = frozenset(
            connection.topic for connection in self._reader.connections if _stays(connection.ext)
        )

    @property
    def problems(self) -> list[Problem]:
        return self._problems.listed()

    def messages(self, wanted: Wanted) -> Iterator[ImportedMessage]:
        self.done = 0
        self._problems.clear()
        converters: dict[int, Ros1Converter | Ros2Converter | DecodeError] = {}
        for connection, ts_ns, raw in self._raw():
            self.done += 1
            type_name = (ros1_type_name if self._is_ros1 else lcm_type_name)(connection.msgtype)
            latched = latched_in(self, connection.topic, type_name)
            if not wanted.topic(connection.topic, type_name) or not wanted.time(
                ts_ns, latched=latched
            ):
                continue
            if connection.id not in converters:
                converters[connection.id] = _converter(connection, self._is_ros1)
            yield from self._converted(
                converters[connection.id], connection, ts_ns, bytes(raw), type_name
            )

    def _converted(
        self,
        converter: Ros1Converter | Ros2Converter | DecodeError,
        connection: Any,
        ts_ns: int,
        raw: bytes,
        type_name: str,
    ) -> Iterator[ImportedMessage]:
        try:
            if isinstance(converter, DecodeError):
                raise converter
            data, notes = converter.convert(raw)
        except DecodeError as error:
            self._problems.note(connection.topic, connection.msgtype, str(error), imported=False)
            return
        for note in notes:
            self._problems.note(connection.topic, connection.msgtype, note, imported=True)
        yield ImportedMessage(connection.topic, type_name, data, ts_ns, ts_ns)

    def _raw(self) -> Iterator[tuple[Any, int, bytes]]:
        messages = self._reader.messages()
        while True:
            try:
                message = next(messages, None)
            except _damage() as error:
                raise RecordingDamaged(
                    f"{self.path} is damaged after {self.done} of {self.total} messages: "
                    f"{reason(error)}"
                ) from error
            if message is None:
                break
            yield message
        if self.done != self.total:
            raise RecordingDamaged(
                f"{self.path} is damaged: {self.done} of the {self.total} messages that it counts "
                "were found"
            )

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _begins_as_ros1(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(len(_ROS1))
    except OSError:
        return False  # a folder; or what opening it as a bag says more about
    return start == _ROS1 or path.suffix.lower() == ".bag"


def _open(path: Path, is_ros1: bool) -> Any:
    try:
        import rosbags.rosbag1
        import rosbags.rosbag2
    except ImportError:
        raise MissingExtra("importing ROS bags", "rosbags") from None
    try:
        reader = rosbags.rosbag1.Reader(path) if is_ros1 else rosbags.rosbag2.Reader(path)
        reader.open()
    except FileNotFoundError as error:
        raise NotARecording(f"{path} is no ROS 2 bag: it has no metadata.yaml") from error
    except _damage() as error:
        told = reason(error)
        hint = "; `rosbag reindex` of ROS 1 mends that" if "reindex" in told else ""
        raise RecordingDamaged(f"{path} cannot be read: {told}{hint}") from error
    return reader


def _damage() -> tuple[type[Exception], ...]:
    """What `rosbags` raises for files that are damaged."""
    import rosbags.rosbag1
    import rosbags.rosbag2

    return (
        rosbags.rosbag1.ReaderError,
        rosbags.rosbag2.ReaderError,
        *_sqlite_errors(),
        struct.error,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AssertionError,
        RuntimeError,  # LZ4
        MemoryError,
        OSError,
        EOFError,
    )


def _sqlite_errors() -> tuple[type[Exception], ...]:
    """`rosbags` reads SQLite with apsw, older releases with what Python has."""
    try:
        import apsw
    except ImportError:
        return (sqlite3.Error,)
    return (sqlite3.Error, apsw.Error)


def _stays(ext: Any) -> bool:
    """Whether the last message of a connection stays valid."""
    if getattr(ext, "latching", None):
        return True
    return any(
        getattr(one.durability, "name", "") == "TRANSIENT_LOCAL"
        for one in getattr(ext, "offered_qos_profiles", ())
    )


def _converter(connection: Any, is_ros1: bool) -> Ros1Converter | Ros2Converter | DecodeError:
    """What converts the messages of a connection, or why nothing can."""
    text, name = connection.msgdef.data, connection.msgtype
    try:
        if is_ros1:
            return Ros1Converter(name, text)
        if connection.msgdef.format.name == "IDL":
            return DecodeError("its definition is in IDL, which is not read; only .msg is")
        if not text:  # as older releases of ROS 2 record into SQLite
            type_name = lcm_type_name(name)
            if schema_name(type_name) != name:
                return DecodeError(f"the bag has no definition, and LCM has no type {type_name}")
            text = definition(type_name)
        return Ros2Converter(name, text.encode())
    except DecodeError as error:
        return error

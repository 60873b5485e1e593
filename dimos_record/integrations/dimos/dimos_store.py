"""dimos's stores as ours: its files as recordings, and what it keeps in memory likewise."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dimos.memory.store.base import Store
from dimos.memory.store.sqlite import SqliteStore
from dimos.msgs.helpers import resolve_msg_type
from dimos.utils.logging_config import setup_logger

from dimos_record.bus.base import join_channel
from dimos_record.errors import OptionError
from dimos_record.integrations.dimos.declared import message_type_name
from dimos_record.messages import is_latched
from dimos_record.store.base import StreamInfo
from dimos_record.store.edited import EditedReader
from dimos_record.store.files import FileStore
from dimos_record.store.memory import MemoryStore, MemoryWriter
from dimos_record.store.target import Target

logger = setup_logger()

_DIMOS = "a store of dimos's"


def store_of(store: Store) -> FileStore | DimosStore:
    """The place where a store of dimos's keeps its streams, as one of our stores."""
    if isinstance(store, SqliteStore):
        return FileStore(Path(store.config.path).absolute())
    return DimosStore(store)


class DimosStore(MemoryStore):
    """What a store of dimos's keeps in memory, read as a recording, and recorded into.

    Messages are encoded when a reader is opened, and live here once more, as rows. What is recorded
    is decoded and appended to dimos's streams; what dimos cannot decode stays here alone.
    """

    name = _DIMOS

    def __init__(self, store: Store) -> None:
        self._writer: _Forwarder = _Forwarder.to(store)

    def exists(self) -> bool:
        """Whether there is any message."""
        self._writer.fetch()
        return super().exists()

    def reader(self) -> EditedReader:
        """A reader of what is there now."""
        self._writer.fetch()
        return super().reader()

    def target(
        self,
        *,
        split: bool = False,
        append: bool = False,
        overwrite: bool = False,
        ring: bool = False,
    ) -> Target:
        """The writer.

        Raises:
            OptionError: it is to be split, or overwritten.
            RecordingExists: there are messages, and `append` is not set.
        """
        if overwrite:
            raise OptionError("a store of dimos's cannot be overwritten; give a new one, or append")
        return super().target(split=split, append=append, ring=ring)


class _Forwarder(MemoryWriter):
    """Keeps in memory what a store of dimos's holds, and appends to that what is written here."""

    _dimos: Store
    _seen: dict[str, int]
    """The last observation of each of dimos's streams that is here, too."""
    _kept: set[str]
    """Channels that dimos cannot decode."""

    @classmethod
    def to(cls, store: Store) -> _Forwarder:
        """The writer of what a store holds."""
        writer = cls.new(_DIMOS)
        writer._dimos, writer._seen, writer._kept = store, {}, set()
        return writer

    def fetch(self) -> None:
        """Take over what dimos's streams have got since the last call."""
        with self.lock:
            for name in self._dimos.list_streams():
                last = self._seen.get(name, -1)
                new = [one for one in self._dimos.stream(name) if one.id > last]
                for one in sorted(new, key=lambda one: one.id):
                    self._take_over(name, one)

    def _take_over(self, name: str, observation: Any) -> None:
        message = observation.data
        type_name, codec, data = _encoded(message)
        topic = f"/{name}"
        channel = join_channel(topic, type_name)
        is_number = isinstance(message, (int, float))
        latched = is_latched(topic, type_name)
        self.declare(StreamInfo(name, topic, channel, type_name, codec, latched))
        super().append_one(
            channel,
            round(observation.ts * 1e9),
            data,
            pose=observation.pose_tuple,
            tags=observation.tags,
            value=message if is_number else None,
        )
        self._seen[name] = observation.id

    def write(self, batch: Sequence[tuple[int, str, bytes]]) -> None:
        super().write(batch)
        for ts_ns, channel, data in batch:
            self._forward(channel, data, ts=ts_ns / 1e9)

    def append_one(
        self,
        channel: str,
        ts_ns: int,
        data: bytes,
        *,
        pose: Sequence[float] | None = None,
        tags: Mapping[str, Any] | None = None,
        value: float | None = None,
    ) -> int:
        number = super().append_one(channel, ts_ns, data, pose=pose, tags=tags, value=value)
        place = None if pose is None else tuple(pose)
        self._forward(channel, data, ts=ts_ns / 1e9, pose=place, tags=dict(tags or {}))
        return number

    def _forward(self, channel: str, data: bytes, **beside: Any) -> None:
        info = self._streams[channel].info
        cls = resolve_msg_type(info.type_name) if info.type_name else None
        try:
            message = _decoder(cls)(data)
        except (ValueError, TypeError, struct.error) as error:
            if channel not in self._kept:
                logger.warning(f"{info.topic} is kept apart from dimos's streams: {error}")
            self._kept.add(channel)
            return
        with self.lock:
            appended = self._dimos.stream(info.name, cls).append(message, **beside)
            self._seen[info.name] = appended.id


def _encoded(message: Any) -> tuple[str | None, str, bytes]:
    """A message's type name, codec and stored bytes."""
    if hasattr(message, "lcm_encode"):
        return message_type_name(type(message)), "lcm", message.lcm_encode()
    if isinstance(message, (int, float)):
        return None, "scalar", str(message).encode()
    return None, "pickle", pickle.dumps(message)


def _decoder(cls: Any) -> Callable[[bytes], Any]:
    """Decodes messages of a class.

    Raises:
        TypeError: dimos has no such class.
    """
    if not hasattr(cls, "lcm_decode"):
        raise TypeError("dimos has no class for its messages")
    decode: Callable[[bytes], Any] = cls.lcm_decode
    return decode

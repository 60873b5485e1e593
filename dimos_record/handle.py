"""A recording and a bus, opened when they are first needed, and what the recording holds."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from dimos_record.bus import Bus, Selection, open_bus
from dimos_record.errors import OptionError, RecordingNotFound, UnknownTopic
from dimos_record.namespace import Namespace
from dimos_record.store.base import StreamInfo
from dimos_record.store.compare import Comparison, compare
from dimos_record.store.files import FileStore
from dimos_record.store.paths import path_for_reading, path_for_writing
from dimos_record.store.queries import QueryableReader, StreamQuery
from dimos_record.store.stores import Store
from dimos_record.store.summary import Summary, Topic, describe_topic, summarize


class RecordingHandle:
    """The part of `RecordReplay` that owns the file and the bus, and looks into the file."""

    def __init__(
        self,
        name: str | os.PathLike[str] | None,
        store: Store | None,
        bus: Bus | str | None,
    ) -> None:
        if (name is None) == (store is None):
            raise OptionError("give either the name of a recording or a store")
        self._name, self._store = name, store
        self._bus = None if isinstance(bus, str) else bus
        self._bus_url = bus if isinstance(bus, str) else None
        self._owns_bus = self._bus is None
        self._lock = threading.RLock()
        self._reader: QueryableReader | None = None
        self.topics: Namespace[Topic] = Namespace(self._topic_names, self._topic)
        """The recorded topics in figures, by name: `rec.topics.odom`, `rec.topics["/odom"]`."""
        self.streams: Namespace[StreamQuery] = Namespace(self._stream_names, self._query)
        """Queries over the recorded streams, by name: `rec.streams.odom`."""

    @property
    def bus(self) -> Bus:
        """The bus, opened when it is first needed.

        Raises:
            BusError: it cannot be opened.
        """
        with self._lock:
            if self._bus is None:
                self._bus = open_bus(self._bus_url)
            return self._bus

    @property
    def reader(self) -> QueryableReader:
        """The recording, opened for reading when it is first needed.

        Raises:
            RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
        """
        with self._lock:
            if self._reader is None:
                self._reader = self.store.reader()
            return self._reader

    @property
    def store(self) -> Store:
        """Where the recording lives.

        Raises:
            RecordingNotFound: there is no recording of that name.
            AmbiguousName: a bare name is in the data folder and in the current folder.
        """
        with self._lock:
            if self._store is None:
                self._store = FileStore(path_for_reading(self._name or ""))
            return self._store

    def _store_for_writing(self) -> Store:
        if self._store is None:
            self._store = FileStore(path_for_writing(self._name or ""))
        return self._store

    def _close_reader(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _close_bus(self) -> None:
        with self._lock:
            if self._bus is not None and self._owns_bus:
                self._bus.close()
                self._bus = None

    def info(self) -> Summary:
        """The recording in figures."""
        return summarize(self.reader)

    def compare(
        self,
        other: RecordingHandle | str | os.PathLike[str],
        *,
        topics: str | Iterable[str] = "*",
        exclude: Iterable[str] = (),
    ) -> Comparison:
        """Whether another recording holds the same messages, and how receive times differ.

        Args:
            other: the other recording, or its name.
            topics: which topics to compare (patterns allowed).
            exclude: which topics to leave out (patterns allowed).

        Raises:
            RecordingNotFound, NotARecording, RecordingDamaged, PatternError
            UnknownTopic: a topic is in neither recording.
        """
        selection = Selection.of((topics,) if isinstance(topics, str) else topics, exclude)
        if not isinstance(other, RecordingHandle):
            opened = RecordingHandle(other, None, None)
            try:
                return self.compare(opened, topics=topics, exclude=exclude)
            finally:
                opened._close_reader()
        both = (self.reader, other.reader)
        present = [info.channel for reader in both for info in reader.streams.values()]
        for pattern in selection.include:
            if pattern != "*" and not any(map(Selection.of((pattern,)).matches, present)):
                names = " and ".join(reader.name for reader in both)
                raise UnknownTopic(f"no topic of {names} matches {pattern!r}; `info` lists them")
        return compare(*both, selection.matches)

    @property
    def span(self) -> tuple[float, float] | None:
        """Receive times of the first and the last message, UNIX seconds; None if there is none."""
        span = self.reader.span_ns()
        return None if span is None else (span[0] / 1e9, span[1] / 1e9)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message."""
        span = self.reader.span_ns()
        return 0.0 if span is None else (span[1] - span[0]) / 1e9

    def _topic_names(self) -> list[str]:
        return [info.topic for info in self.reader.streams.values()]

    def _topic(self, name: str) -> Topic:
        return describe_topic(self.reader, self._find(name), self.reader.sessions())

    def _stream_names(self) -> list[str]:
        return list(self.reader.streams)

    def _query(self, name: str) -> StreamQuery:
        return StreamQuery(self.reader, self._find(name))

    def _find(self, name: str) -> StreamInfo:
        try:
            return self.reader.find(name)
        except RecordingNotFound as error:
            raise UnknownTopic(str(error)) from None

"""A recording and a bus, opened when they are first needed, and what the recording holds."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from dimos_record.bus import Bus, Selection, open_bus
from dimos_record.bus.base import several
from dimos_record.bus.networks import may_be_one
from dimos_record.errors import OptionError, RecordingNotFound, UnknownTopic
from dimos_record.lfs import existing
from dimos_record.namespace import Namespace
from dimos_record.store.base import LogLine, StreamInfo
from dimos_record.store.edited import EditedReader
from dimos_record.store.files import FileStore
from dimos_record.store.paths import path_for_writing
from dimos_record.store.queries import StreamQuery
from dimos_record.store.stores import Store
from dimos_record.store.summary import Summary, Topic, describe_topic, summarize

if TYPE_CHECKING:
    from dimos_record.store.compare import Comparison


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
        self._name, self._store = name, None if store is None else _store_of(store)
        self._bus = None if isinstance(bus, str) else bus
        self._bus_url = bus if isinstance(bus, str) else None
        self._owns_bus = self._bus is None
        self._follows_modules = False  # whether the bus is that of modules that were added
        self._said_elsewhere = False
        self._lock = threading.RLock()
        # never held while waiting for the bus, whose thread may want it in somebody's callback
        self._reader: EditedReader | None = None
        self.topics: Namespace[Topic] = Namespace(
            self._topic_names, self._find, self._topic, self._stream_names
        )
        """The recorded topics in figures, by name: `rec.topics.odom`, `rec.topics["/odom"]`."""
        self.streams: Namespace[StreamQuery] = Namespace(
            self._stream_names, self._find, self._query, self._stream_names
        )
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

    def _use_bus(self, url: str) -> None:
        """Use the bus of modules that are to be recorded, unless another was asked for.

        That another network was asked for is said once, in the log.

        Raises:
            OptionError: another one is in use already, for other modules or for want of a choice.
        """
        with self._lock:
            used = self._bus_url if self._bus is None else self._bus.url
            if used is None:
                self._bus_url, self._follows_modules = url, True
            elif may_be_one(used, url):
                return
            elif self._follows_modules:
                raise OptionError(
                    f"these modules publish on {used} and on {url}, and this object "
                    "records from one of them; use blueprint.record(...), which records from both"
                )
            elif self._bus_url is None and self._owns_bus:
                raise OptionError(
                    f"the module publishes on {url}, and this object uses {used} already; "
                    "choose modules before anything else, or give bus="
                )
            elif not self._said_elsewhere:
                self._said_elsewhere = True
                logging.getLogger("dimos_record").warning(
                    "modules publish on %s and are recorded from %s, which was asked for: only "
                    "what gets there is recorded",
                    url,
                    used,
                )

    @property
    def reader(self) -> EditedReader:
        """The recording, opened for reading when it is first needed.

        Raises:
            RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
        """
        opened = self._reader
        if opened is not None:  # without the lock, which is for opening it
            return opened
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
            GitError, NotARecording, DiskFull, StorageError: it is packed, and cannot be fetched.
        """
        with self._lock:
            if self._store is None:
                self._store = FileStore(existing(self._name or ""))
            return self._store

    def _store_for_writing(self, *, append: bool) -> Store:
        """The store; to append to, a recording is found as for reading."""
        if self._store is None and append:
            try:
                return self.store
            except RecordingNotFound:
                pass  # it is created
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
            if not self._owns_bus:
                return
            bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()

    def log(self) -> list[LogLine]:
        """What the recorded program has logged while it was recorded, in the order of writing."""
        return list(self.reader.log_lines())

    def info(self) -> Summary:
        """The recording in figures."""
        self.reader.refresh()
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
        from dimos_record.store.compare import compare

        selection = Selection.of(several(topics), exclude)
        if not isinstance(other, RecordingHandle):
            opened = RecordingHandle(other, None, None)
            try:
                return self.compare(opened, topics=topics, exclude=exclude)
            finally:
                opened._close_reader()
        both = (self.reader, other.reader)
        for reader in both:
            reader.refresh()
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

    def position_of(self, ts_ns: int) -> float:
        """Where a receive time (UNIX nanoseconds) is: seconds from the start as recorded."""
        return (ts_ns - self.reader.origin_ns()) / 1e9

    @property
    def extent(self) -> tuple[float, float]:
        """Positions of the first and the last message, in seconds from the start as recorded.

        The first is 0 unless the beginning was cut off.
        """
        span = self.reader.span_ns()
        return (
            (0.0, 0.0) if span is None else (self.position_of(span[0]), self.position_of(span[1]))
        )

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message."""
        span = self.reader.span_ns()
        return 0.0 if span is None else (span[1] - span[0]) / 1e9

    def _find(self, name: str) -> StreamInfo:
        return self.reader.find(name)

    def _topic_names(self) -> list[str]:
        return [info.topic for info in self.reader.streams.values()]

    def _topic(self, info: StreamInfo) -> Topic:
        return describe_topic(self.reader, info, self.reader.sessions())

    def _stream_names(self) -> list[str]:
        return list(self.reader.streams)

    def _query(self, info: StreamInfo) -> StreamQuery:
        return StreamQuery(cast(EditedReader, _CurrentReader(self)), info)


def _store_of(store: Any) -> Store:
    """A store of ours; those of dimos's are told by their class, without importing dimos."""
    if any(cls.__module__.startswith("dimos.memory.") for cls in type(store).__mro__):
        from dimos_record.integrations.dimos import dimos_store

        found: Store = dimos_store.store_of(store)
        return found
    ours: Store = store
    return ours


class _CurrentReader:
    """The reader that a handle has open now: observations outlive the end of a session."""

    def __init__(self, handle: RecordingHandle) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle.reader, name)

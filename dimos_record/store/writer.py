"""Writing a recording: batches of raw messages in, transactions out.

Small messages are committed to one table first, the spool, and moved into their streams' tables in
bulk: a commit rewrites the last page of every table that it touched, so committing 20 slow streams
directly would write a thousand times their data. Streams with much data in a batch skip the spool.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dimos_record.errors import DimosRecordError, StorageError
from dimos_record.messages import fingerprint, is_latched
from dimos_record.store import catalog, migrations
from dimos_record.store.base import LogLine, StreamAccount, StreamInfo, StreamSource
from dimos_record.store.carried import carry, load_carried
from dimos_record.store.connection import connect_for_writing, errors_about, quote_name
from dimos_record.store.in_use import refuse_if_used
from dimos_record.store.intervals import FOREVER
from dimos_record.store.latched import StreamState, parts
from dimos_record.store.names import is_valid, stream_name
from dimos_record.store.reader import RecordingReader
from dimos_record.store.recording_file import (
    already_exists,
    check_may_be_written,
    refuse_if_busy,
    remove_recording_file,
)
from dimos_record.store.sessions import (
    load_sessions,
    save_accounts,
    save_log,
    save_meta,
    start_session,
)
from dimos_record.store.stream_set import StreamSet, data_version
from dimos_record.store.stream_writer import StreamWriter
from dimos_record.store.totals import Totals, save_totals, totals_of
from dimos_record.store.writable import WritableFile

SPOOL_BYTES = 32_000_000
"""What the spool takes in memory, at most, before it is moved into the streams' tables."""

COMPLETE_UNTIL = "complete_until_ns"
"""Key in `_dr_meta` of a file that is recorded into: up to when everything received is written."""

CodecChooser = Callable[[str, "str | None", bytes], str]
"""(topic, type name, first message) to the id of the codec to store the topic with."""

SplitChannel = Callable[[str], "tuple[str, str | None]"]
"""A wire name to its topic and type name; each bus has its own."""


class RecordingWriter(WritableFile):
    """The one writer of a recording file. Safe to call from several threads."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path | str, earlier: Totals | None = None
    ) -> None:
        super().__init__(connection, path)
        self._earlier = earlier
        """What was in the file before; None where only counting would tell."""
        self.seq = 0
        self.session: int | None = None
        self.superseded = False
        """Whether another segment of the recording goes on from here."""
        self._streams = StreamSet(connection)
        self._before = self.seq, self._streams
        self._choose_codec: CodecChooser = lambda topic, type_name, data: "lcm"
        self._split: SplitChannel = lambda channel: (channel, None)
        self._bus: str | None = None
        self._dropped: Mapping[str, int] = {}
        self._sources: Mapping[str, StreamSource] = {}
        self._meta: dict[str, Any] = {}
        self._saved_meta: dict[str, Any] = {}
        self._saved_dropped: dict[str, int] = {}

    @classmethod
    def create(cls, path: Path) -> RecordingWriter:
        """Create a new recording.

        Raises:
            RecordingExists: there is a file of that name.
            RecordingBusy: there was one, which is still recorded into under another name.
            StorageError: the folder does not exist, or may not be written.
        """
        if os.path.exists(path):
            raise already_exists(path)
        refuse_if_used(path, [path])  # of a recording that was renamed, the log is still here
        try:
            writer = cls(connect_for_writing(path, create=True), path, {})
            try:
                writer._prepare()
                with writer.transaction():
                    writer.connection.execute(
                        "INSERT INTO _dr_meta VALUES ('recording_id', ?), ('created_ns', ?)",
                        (uuid.uuid4().hex, time.time_ns()),
                    )
                writer.checkpoint()  # the file without its log is then a recording, too
            except BaseException:
                writer.connection.close()
                raise
        except BaseException:
            remove_recording_file(path)
            raise
        return writer

    @classmethod
    def append(cls, path: Path) -> RecordingWriter:
        """Open a recording, ours or dimos's, to add to it; what a crash left is put in order.

        Raises:
            RecordingBusy: another process is recording into it.
        """
        check_may_be_written(path)
        earlier = totals_of(path)
        writer = cls(connect_for_writing(path), path, earlier)
        try:
            writer._prepare()
        except BaseException:
            writer.connection.close()
            raise
        return writer

    def _prepare(self) -> None:
        """Bring the file to the current schema, and what a crash left in order."""
        with errors_about(self.path):
            migrations.migrate(self.connection, self.path)
        with self.transaction():
            refuse_if_busy(self.path, load_sessions(self.connection))
            self._load_streams()
            self.drain()
            catalog.close_killed_sessions(self.connection)

    def _load_streams(self) -> None:
        """Learn the streams, and where their numbers stand."""
        self._streams = StreamSet.load(self.connection)
        self.seq = catalog.last_seq(self.connection)

    def go_on_from(self, last_ids: Mapping[str, int], last_seq: int) -> None:
        """Number new messages higher than these, which other segments have (ids per channel)."""
        with self.lock:
            self.seq = max(self.seq, last_seq)
            for stream in self._streams:
                last_id = last_ids.get(stream.info.channel, 0)
                stream.last_id = max(stream.last_id, last_id)

    def continue_from(self, earlier: RecordingWriter) -> None:
        """Go on where an earlier segment of the same recording stopped.

        Numbers go on, and the state of latched streams is carried over.
        """
        self.seq, self._sources = earlier.seq, earlier._sources
        earlier.drain()
        earlier._learn_state()
        with self.transaction():
            for stream in earlier._streams:
                fresh = self._add_stream(stream.info, stream.last_id)
                fresh.continue_from(stream)
            state = {s.info.name: s.state or {} for s in earlier._streams}
            numbers = {name: sorted(set(found.values())) for name, found in state.items()}
            carry(earlier.connection, self.connection, numbers)
            for stream in self._streams:
                stream.learn_order(self.connection)

    def _learn_state(self) -> None:
        """Find out the state of the latched streams where this has not written it itself."""
        unknown = [s for s in self._streams if s.info.latched and s.state is None]
        if not unknown:
            return
        with self.lock:
            reader = RecordingReader(self.connection, self.path, lock=self.lock, owns=False)
            for stream in unknown:
                rows = StreamState(reader, stream.info).before(FOREVER)
                named = [(parts(row.stream.type_name, row.data), row.id) for row in rows]
                stream.state = {part: number for found, number in named for part in found}

    def begin_session(
        self,
        start_ns: int,
        meta: dict[str, Any],
        *,
        split: SplitChannel,
        bus: str | None = None,
        choose_codec: CodecChooser | None = None,
        dropped: Mapping[str, int] | None = None,
        sources: Mapping[str, StreamSource] | None = None,
    ) -> None:
        """Start a session.

        Args:
            start_ns: receive time that the session starts at.
            meta: host, process, versions ... (see `SessionInfo.meta`). It is live: what changes
                in it is written down with the account.
            split: tells topic and type name of a channel that is new.
            bus: URL of the bus that the messages come from.
            choose_codec: tells how to store a topic that is new.
            dropped: a live count per channel of messages that never came here.
            sources: what is known of channels, live: looked at when a channel is new.
        """
        with self.transaction():
            refuse_if_busy(self.path, load_sessions(self.connection))
            if self._streams.version != data_version(self.connection):
                self._earlier = None
                self._load_streams()
            self._streams.expect(start_ns)
            session = start_session(self.connection, start_ns, meta)
        self.session = session
        self._meta, self._saved_meta = meta, dict(meta)
        self._split, self._bus = split, bus
        self._choose_codec = choose_codec or self._choose_codec
        self._dropped, self._saved_dropped = dropped if dropped is not None else {}, {}
        self._sources = sources if sources is not None else {}
        self._streams.begin_accounts()

    def declare(self, info: StreamInfo) -> StreamInfo:
        """The stream of a channel, created as described if the channel is new.

        Returns:
            The description of the stream as it is; a name that is taken has got a number.
        """
        with self.lock:
            if info.channel in self._streams:
                return self._streams[info.channel].info
            if info.name.lower() in self._streams.taken or not is_valid(info.name):
                info = info._replace(name=stream_name(info.topic, self._streams.taken))
            with self.transaction():
                return self._add_stream(info, 0).info

    def describe(self, channel: str, first: bytes = b"") -> StreamInfo:
        """How a channel of the session's bus is to be stored.

        Args:
            first: its first message, from which codec and fingerprint may be chosen.
        """
        topic, type_name = self._split(channel)
        mark = fingerprint(type_name) if type_name else None
        if type_name and len(first) >= 8:  # what was really sent; the channel may be wrong
            mark = int.from_bytes(first[:8], "big")
        source = self._sources.get(channel) or StreamSource(self._bus)
        return StreamInfo(
            name=stream_name(topic, self._streams.taken),
            topic=topic,
            channel=channel,
            type_name=type_name,
            codec=source.codec or self._choose_codec(topic, type_name, first),
            latched=is_latched(topic, type_name),
            module=source.module,
            bus=source.bus,
            fingerprint=mark,
        )

    def _add_stream(self, info: StreamInfo, last_id: int) -> StreamWriter:
        return self._streams.add(info, self._sources.get(info.channel), last_id)

    def write(self, batch: Sequence[tuple[int, str, bytes]]) -> None:
        """Commit a batch of (ts_ns, channel, data), in order of arrival.

        Raises:
            DiskFull, RecordingBusy, StorageError: nothing of the batch was written.
        """
        with self.transaction():
            self._take(batch)
            self.written_bytes += self._streams.insert_pending()
            if self._streams.spool_bytes > SPOOL_BYTES:
                self.drain()

    def _take(self, batch: Sequence[tuple[int, str, bytes]]) -> None:
        touched, seq = self._streams.touched, self.seq
        for ts_ns, channel, data in batch:
            stream = touched.get(channel)
            if stream is None:
                stream = self._touch(channel, data)
            seq += 1
            stream.add(seq, ts_ns, data)
        self.seq = seq

    def _touch(self, channel: str, first: bytes) -> StreamWriter:
        if channel in self._streams:
            return self._streams.touch(channel)
        return self._add_stream(self.describe(channel, first), 0)

    def _remember(self) -> None:
        self._before = self.seq, self._streams
        self._streams.begin()

    def _go_back(self) -> None:
        self.seq, self._streams = self._before
        self._streams.go_back()
        self._saved_meta, self._saved_dropped = {}, {}  # what was saved may be undone

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
        """Write one message of a declared channel, with what belongs to it, and return its id.

        Args:
            pose: x, y, z, qx, qy, qz, qw.
            value: the payload itself where it is a number, as dimos stores numbers.

        Raises:
            StorageError: it cannot be written, or the recording goes on in another segment.
        """
        with self.transaction():
            if self.superseded:
                raise StorageError(
                    f"{self.path} is finished: the recording goes on in a new segment"
                )
            stream = self._streams.touch(channel)
            table = quote_name(stream.info.name)
            self.seq += 1
            stream.add(self.seq, ts_ns, data)
            self._streams.insert_directly(stream)
            if pose is not None:
                catalog.set_poses(self.connection, stream.info.name, [(stream.last_id, *pose)])
            if tags:
                self.connection.execute(
                    f"UPDATE {table} SET tags = ? WHERE id = ?",
                    (json.dumps(dict(tags)), stream.last_id),
                )
            if value is not None:
                self.connection.execute(
                    f"UPDATE {table} SET value = ? WHERE id = ?", (value, stream.last_id)
                )
            return stream.last_id

    def set_poses(self, info: StreamInfo, poses: Sequence[tuple[float, ...]]) -> None:
        """Write the poses of messages of a stream: (id, x, y, z, qx, qy, qz, qw) each.

        The stream may be one that dimos has added, which is not described here.
        """
        with self.transaction():
            if info.channel in self._streams:
                self._streams.empty_spool(self._streams.touch(info.channel))
            catalog.set_poses(self.connection, info.name, poses)

    def drain(self) -> None:
        """Move the spool into the streams' tables and save the account, in one transaction.

        Topics of which every message was dropped get a stream, too, so that the account has them.
        """
        with self.transaction():
            for channel in list(self._dropped):
                if channel not in self._streams:
                    self.declare(self.describe(channel))
            self._streams.drain()
            self._save_accounts()

    def accounts(self) -> dict[str, StreamAccount]:
        """The account of this session per stream, as it stands."""
        with self.lock:
            dropped = self._dropped
            return {s.info.name: s.snapshot(dropped.get(s.info.channel, 0)) for s in self._streams}

    def forget_gaps(self) -> None:
        """Do not count the time since the last messages as gaps: recording was paused."""
        with self.lock:
            for stream in self._streams:
                stream.forget_gap()

    def _save_accounts(self) -> None:
        """Write down what has changed since this was last done."""
        if self.session is None:
            return
        dropped = dict(self._dropped)
        more = [c for c, count in dropped.items() if count != self._saved_dropped.get(c)]
        changed = self._streams.take_unsaved(more)
        accounts = [(s.topic, s.snapshot(dropped.get(c, 0))) for c, s in changed.items()]
        save_accounts(self.connection, self.session, accounts)
        self._saved_dropped = dropped
        if self._meta != self._saved_meta:
            self._saved_meta = dict(self._meta)
            save_meta(self.connection, self.session, self._saved_meta)

    def note_progress(self, ts_ns: int, wall_ns: int, complete_until_ns: int) -> None:
        """Write down the account so far, and what the wall clock said at a receive time.

        Args:
            complete_until_ns: receive time up to which everything that was received is written.
        """
        with self.transaction():
            self._save_accounts()
            if self.session is not None:
                self.connection.execute(
                    "INSERT OR REPLACE INTO _dr_clock VALUES (?, ?, ?)",
                    (self.session, ts_ns, wall_ns),
                )
                self.connection.execute(
                    "INSERT OR REPLACE INTO _dr_meta VALUES (?, ?)",
                    (COMPLETE_UNTIL, complete_until_ns),
                )

    def write_log(self, lines: Iterable[LogLine]) -> None:
        """Write lines that the recorded program has logged; only within a session."""
        with self.transaction():
            if self.session is not None:
                save_log(self.connection, self.session, lines)

    def end_session(
        self, stop_ns: int, reason: str, lost_before_reception: int | None, clock_jumps: int
    ) -> None:
        """Write down the end of the session."""
        try:
            self.drain()
        finally:  # on a full disk there is still room for the end, which is short
            with self.transaction():
                catalog.name_modules(self.connection, self._sources)
                self.connection.execute(
                    "UPDATE _dr_sessions SET stop_ns = ?, state = 'finished', reason = ?, "
                    "lost_before_reception = ?, clock_jumps = ? WHERE id = ?",
                    (stop_ns, reason, lost_before_reception, clock_jumps, self.session),
                )
                self.connection.execute("DELETE FROM _dr_meta WHERE key = ?", (COMPLETE_UNTIL,))
            self.session = None
            self.forget_gaps()

    def forget_session(self) -> None:
        """Take back `begin_session`: nothing was recorded."""
        with self.transaction():
            self.connection.execute("DELETE FROM _dr_sessions WHERE id = ?", (self.session,))
        self.session = None

    def close(self) -> bool:
        """Finish the file: one self-contained file, without a log beside it. May be repeated.

        Returns:
            Whether the file is self-contained; it is not while somebody else has it open.
        """
        try:
            if not self._closed and not self.is_inherited:
                self.drain()
        finally:
            alone = super().close()
        return alone

    def _leave_wal(self) -> bool:
        as_we_left_it = self._streams.version == data_version(self.connection)
        alone = super()._leave_wal()
        if alone and as_we_left_it and self._earlier is not None and isinstance(self.path, Path):
            # without a log, no less than that keeps a power cut from damaging the file
            self.connection.execute("PRAGMA synchronous=FULL")
            with suppress(DimosRecordError), self.transaction():  # else they are counted
                save_totals(self.connection, self.path, self._totals(self._earlier))
        return alone

    def _totals(self, earlier: Totals) -> Totals:
        """What is in the file, but for the streams of which state was carried over."""
        found = dict(earlier)
        for stream in self._streams:
            count, size = found.get(stream.info.name, (0, 0))
            more, more_bytes = stream.totals
            found[stream.info.name] = count + more, size + more_bytes
        for name in load_carried(self.connection):
            found.pop(name, None)
        return found

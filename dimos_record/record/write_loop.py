"""The writer's thread: takes batches from the buffer, commits them, splits, and stops at limits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dimos_record.bus.base import Arrival
from dimos_record.errors import (
    DimosRecordError,
    DiskFull,
    RecordingBusy,
    RecordingGone,
    StorageError,
)
from dimos_record.record.buffer import TapBuffer
from dimos_record.record.keeper import ClockWatch, taken_away
from dimos_record.record.options import RecordOptions
from dimos_record.store.base import StreamAccount, add_accounts
from dimos_record.store.log_copier import LogCopier
from dimos_record.store.recording_file import remove_recording_file
from dimos_record.store.ring import Ring
from dimos_record.store.target import Target
from dimos_record.store.writer import RecordingWriter

BATCH_MESSAGES, BATCH_BYTES, BATCH_S = 2000, 8_000_000, 0.1
POLL_S = 0.02
SOON_S = 0.5
DRAIN_S = 5.0

log = logging.getLogger("dimos_record")


class WriteLoop:
    """Owns the writer of the current segment and the thread that feeds it."""

    def __init__(
        self,
        target: Target,
        buffer: TapBuffer,
        options: RecordOptions,
        clock: ClockWatch,
        *,
        begin_session: Callable[[RecordingWriter, int], None],
        note_losses: Callable[[], None],
        end_input: Callable[[], None],
        lost: Callable[[], int | None],
        ring: Ring | None = None,
    ) -> None:
        self.writer = target.writer
        self.reason: str | None = None
        self.error: DimosRecordError | None = None
        self.ended = threading.Event()
        self.segments = 1
        self.self_contained = True
        self.finishing = False
        self.complete_until_ns = 0
        """Receive time up to which everything that was received is committed."""
        self._arrived_until_ns = 0
        self._target, self._buffer, self._options, self._clock = target, buffer, options, clock
        self._begin_session, self._end_input, self.lost = begin_session, end_input, lost
        self._note_losses = note_losses
        self._ring = ring
        self._lost_earlier = self._jumps_earlier = 0
        self._started_ns = self._segment_ns = clock.now_ns()
        self._first_ns: int | None = None  # when the first message of the segment was written
        self._finishing: set[Path] = set()  # segments that are not finished yet
        self._is_full = False  # what is still in the buffer then came too late
        self._ended_ns: int | None = None
        self._accounting = threading.Lock()
        self._earlier: dict[str, StreamAccount] = {}
        self._final: dict[str, StreamAccount] | None = None
        self._earlier_bytes = 0
        self._written = 0
        self.stop_requested = threading.Event()
        self._finishers: list[threading.Thread] = []
        self._copier = LogCopier(self.writer)
        self._thread = threading.Thread(target=self._run, name="dimos-record-writer")

    def start(self, start_ns: int) -> None:
        """Begin to write what was received from a time on."""
        self._started_ns = self._segment_ns = start_ns
        self._copier.start()
        self._thread.start()

    def request_stop(self, reason: str) -> None:
        """Ask for the end: what is in the buffer is still written."""
        if self.reason is None:
            self.reason = reason
        self.stop_requested.set()

    def fail(self, error: DimosRecordError) -> None:
        """End with an error that somebody else noticed: what is in the buffer is still written."""
        self.error = self.error or error
        self.request_stop(_reason(error))

    def join(self) -> None:
        """Wait until every segment is finished."""
        if self._thread.ident is not None:
            self._thread.join()
        for thread in self._finishers:
            thread.join()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, up to the end."""
        return ((self._ended_ns or self._clock.now_ns()) - self._started_ns) / 1e9

    @property
    def dropped(self) -> int:
        """Messages dropped so far, over all segments."""
        earlier = sum(account.dropped for account in self._earlier.values())
        return earlier + sum(list(self._buffer.dropped.values()))

    def accounts(self) -> dict[str, StreamAccount]:
        """The account of the session so far, by stream name, over all segments."""
        with self._accounting:
            if self._final is not None:
                return self._final
            return add_accounts(self._earlier, self.writer.accounts())

    def arrived_until(self, ts_ns: int) -> None:
        """Everything up to a receive time is in the buffer: wait until it is committed, if soon."""
        self._arrived_until_ns = ts_ns
        end_s = time.monotonic() + SOON_S
        while self.complete_until_ns < ts_ns and time.monotonic() < end_s:
            if self.stop_requested.wait(POLL_S):
                return

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end in silence
            self._fail(error)
        finally:
            self.stop_requested.set()
            try:
                self._end()
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(error)
            finally:
                self._copier.close()
                self.ended.set()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, DimosRecordError):
            log.error("%s; what was written before is safe", error)
        else:
            log.exception("recording stopped; what was written before is safe")
            cause, error = (
                error,
                StorageError(f"{self.writer.path}: recording stopped by {error!r}"),
            )
            error.__cause__ = cause
        self.stop_requested.set()
        self.error = self.error or error
        self.reason = _reason(self.error)

    def _end(self) -> None:
        try:
            self._end_input()
        except DimosRecordError as error:
            self._fail(error)
        self.finishing = True
        if self.error is not None:
            while batch := self._buffer.take(BATCH_MESSAGES, BATCH_BYTES):
                self._buffer.drop(batch)
        self._ended_ns = self._clock.now_ns()
        self._copier.close()
        self._finish(self.writer, *self._ending(self.reason or "error"))
        self._final = self.accounts()

    def _write_until_stopped(self) -> None:
        next_drain = time.monotonic() + DRAIN_S
        while not self.stop_requested.is_set():
            began = time.monotonic()
            self._write_what_waits()
            if began >= next_drain:
                self._drain()
                next_drain = began + DRAIN_S
            self._copier.after_commit()
            self._apply_limits()
            self._wait_for_batch(began + BATCH_S)
        self._end_input()
        while not self._is_full and self._write_batch():
            pass

    def _write_what_waits(self) -> None:
        """Commit a batch, and note up to when everything is committed."""
        offset_ns = self._clock.offset_ns
        # a bus delivers in order of arrival; where it is silent, the keeper asks it
        until_ns = max(self._arrived_until_ns, self._buffer.newest_ns + offset_ns - 1)
        self._write_batch()
        oldest_ns = self._buffer.oldest_ns
        if oldest_ns is not None:
            until_ns = min(until_ns, oldest_ns + offset_ns - 1)
        self.complete_until_ns = max(self.complete_until_ns, until_ns)

    def _drain(self) -> bool:
        """Empty the spool; False if another program keeps the file: it can wait."""
        try:
            self.writer.drain()
        except RecordingBusy as error:
            log.warning("%s (trying again)", error)
            return False
        return True

    def _wait_for_batch(self, until_s: float) -> None:
        """Wait for a time, or until so much has arrived that it is to be committed before."""
        while not self._buffer.holds(BATCH_MESSAGES, BATCH_BYTES):
            left_s = until_s - time.monotonic()
            if left_s <= 0 or self.stop_requested.wait(min(left_s, POLL_S)):
                return

    def _write_batch(self) -> bool:
        """Commit what has arrived, as much as fits in a batch; whether there was anything."""
        options, limit = self._options, BATCH_MESSAGES
        if options.max_messages is not None:
            limit = min(limit, options.max_messages - self._written)
        taken = batch = self._buffer.take(limit, BATCH_BYTES)
        if options.duration_s is not None:
            last_ns = self._started_ns + round(options.duration_s * 1e9) - self._clock.offset_ns
            batch = [arrival for arrival in taken if arrival[0] < last_ns]
        if batch:
            self._commit(batch)
            self._written += len(batch)
            if self._first_ns is None:
                self._first_ns = batch[0][0] + self._clock.offset_ns
        return bool(taken)

    def _commit(self, batch: list[Arrival]) -> None:
        offset = self._clock.offset_ns
        rows = [(arrival_ns + offset, channel, data) for arrival_ns, channel, data in batch]
        while True:
            try:
                self.writer.write(rows)
                return
            except RecordingBusy as error:
                if self.writer.is_replaced:  # trying again would not bring it back
                    self._buffer.drop(batch)
                    raise taken_away(self.writer.path) from None
                # the buffer holds what arrives meanwhile, and counts what it cannot hold
                log.warning("%s (trying again)", error)
                if self.stop_requested.is_set():
                    self._buffer.drop(batch)
                    raise
            except BaseException:
                self._buffer.drop(batch)
                raise

    def _apply_limits(self) -> None:
        options = self._options
        if options.max_messages is not None and self._written >= options.max_messages:
            self._is_full = True
            self.request_stop(f"max messages ({options.max_messages})")
        elif options.duration_s is not None and self.elapsed_s >= options.duration_s:
            self.request_stop(f"duration ({options.duration_s:g} s)")
        elif options.max_bytes is not None and self._total_bytes() >= options.max_bytes:
            self._is_full = True
            self.request_stop(f"max size ({options.max_bytes} bytes)")
        elif self._segment_is_full():
            self._split()

    def _total_bytes(self) -> int:
        return self._earlier_bytes + self.writer.size_bytes

    def _segment_is_full(self) -> bool:
        """Whether a new one is due; in a ring only after a message: silence deletes nothing."""
        limit_s, limit_bytes = self._options.segment_s, self._options.segment_bytes
        if self._first_ns is None and self._ring is not None:
            return False
        if limit_s is not None and self._clock.now_ns() - self._segment_ns >= limit_s * 1e9:
            return True
        return limit_bytes is not None and self.writer.size_bytes >= limit_bytes

    @property
    def current_s(self) -> float:
        """Seconds since the first message of the current segment."""
        first_ns = self._first_ns
        return 0.0 if first_ns is None else (self._clock.now_ns() - first_ns) / 1e9

    def busy(self) -> set[Path]:
        """The segments that are written to or being finished."""
        with self._accounting:
            return {Path(self.writer.path), *self._finishing}

    def _split(self) -> None:
        """Go on in a new segment; the full one is finished beside it."""
        full = self.writer
        if not self._drain():
            return
        length_s, self._segment_ns = self.current_s, self._clock.now_ns()
        with self._accounting, full.lock:  # code that appends meanwhile waits for the new segment
            fresh = self._begin_segment(full)
            self._finishing.add(Path(full.path))
            self._first_ns = None
            self._earlier_bytes += full.size_bytes
            self._earlier = add_accounts(self._earlier, full.accounts())
            self.writer = fresh
            self.segments += 1
            full.superseded = True
        self._copier.close()
        self._copier = LogCopier(fresh)
        self._copier.start()
        if self._ring is not None:
            self._ring.note(Path(full.path), length_s)
        thread = threading.Thread(
            target=self._finish, args=(full, *self._ending("split")), name="dimos-record-finisher"
        )
        self._finishers = [t for t in self._finishers if t.is_alive()] + [thread]
        thread.start()

    def _begin_segment(self, full: RecordingWriter) -> RecordingWriter:
        """Begin a new segment, to which belongs what is dropped from now on."""
        self._note_losses()
        dropped = self._buffer.dropped
        self._buffer.count_into({})
        fresh: RecordingWriter | None = None
        try:
            fresh = self._target.next_writer(full)  # which has the full one know its last drops
            self._begin_session(fresh, self._segment_ns)
        except BaseException:
            self._buffer.count_again_into(dropped)
            if fresh is not None:
                fresh.close()
                remove_recording_file(Path(fresh.path))
            raise
        return fresh

    def _ending(self, reason: str) -> tuple[int, str, int | None, int]:
        """What `end_session` is to write down, with what was lost since the segment before."""
        lost, jumps = self.lost(), self._clock.jumps
        ending = (
            self._clock.now_ns(),
            reason,
            None if lost is None else lost - self._lost_earlier,
            jumps - self._jumps_earlier,
        )
        self._lost_earlier, self._jumps_earlier = lost or 0, jumps
        return ending

    def _finish(
        self, writer: RecordingWriter, stop_ns: int, reason: str, lost: int | None, jumps: int
    ) -> None:
        try:
            try:
                writer.end_session(stop_ns, reason, lost, jumps)
            finally:
                alone = writer.close()
        except Exception as error:  # noqa: BLE001 - of a thread of its own, perhaps: not in silence
            self._fail(error)
            alone = False
        if not alone:
            self.self_contained = False
        with self._accounting:
            self._finishing.discard(Path(writer.path))


def _reason(error: DimosRecordError) -> str:
    """Why a session ended that ended with an error."""
    if isinstance(error, DiskFull):
        return "disk full"
    return "file gone" if isinstance(error, RecordingGone) else "error"

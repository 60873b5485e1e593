"""The writer's thread: takes batches from the buffer, commits them, splits, and stops at limits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from dimos_record.errors import DimosRecordError, DiskFull, RecordingBusy
from dimos_record.record.buffer import TapBuffer, Tapped
from dimos_record.record.keeper import ClockWatch
from dimos_record.record.options import RecordOptions
from dimos_record.store.base import StreamAccount, add_accounts
from dimos_record.store.target import Target
from dimos_record.store.writer import RecordingWriter

BATCH_MESSAGES, BATCH_BYTES, BATCH_S = 2000, 8_000_000, 0.1
DRAIN_S = 2.0

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
        end_input: Callable[[], None],
        lost: Callable[[], int | None],
    ) -> None:
        self.writer = target.writer
        self.reason: str | None = None
        self.error: DimosRecordError | None = None
        self.ended = threading.Event()
        self.checkpoint_due = False
        self.segments = 1
        self.self_contained = True
        self._target, self._buffer, self._options, self._clock = target, buffer, options, clock
        self._begin_session, self._end_input, self.lost = begin_session, end_input, lost
        self._lost_earlier = 0
        self._started_ns = self._segment_ns = clock.now_ns()
        self._earlier: dict[str, StreamAccount] = {}
        self._earlier_bytes = 0
        self._counted = False
        self._written = 0
        self.stop_requested = threading.Event()
        self._finishers: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, name="dimos-record-writer")

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def request_stop(self, reason: str) -> None:
        """Ask for the end: what is in the buffer is still written."""
        if self.reason is None:
            self.reason = reason
        self.stop_requested.set()

    def join(self) -> None:
        """Wait until every segment is finished."""
        self._thread.join()
        for thread in self._finishers:
            thread.join()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (self._clock.now_ns() - self._started_ns) / 1e9

    @property
    def dropped(self) -> int:
        """Messages dropped so far, over all segments."""
        earlier = sum(account.dropped for account in self._earlier.values())
        return earlier + sum(list(self._buffer.dropped.values()))

    def accounts(self) -> dict[str, StreamAccount]:
        """The account of the session so far, by stream name, over all segments."""
        if self._counted:
            return self._earlier
        return add_accounts(self._earlier, self.writer.accounts())

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        except DimosRecordError as error:
            self.error = error
            self.reason = "disk full" if isinstance(error, DiskFull) else "error"
            log.error("%s; what was written before is safe", error)
        finally:
            self._end_input()
            self._earlier, self._counted = self.accounts(), True
            self._finish(self.writer, self.reason or "error")
            self.ended.set()

    def _write_until_stopped(self) -> None:
        next_drain = time.monotonic() + DRAIN_S
        while not self.stop_requested.is_set():
            began = time.monotonic()
            taken = self._write_batch()
            if began >= next_drain:
                self.writer.drain()
                next_drain = began + DRAIN_S
            if self.checkpoint_due:
                self.checkpoint_due = False
                self.writer.checkpoint()
            self._apply_limits()
            if not taken or self._buffer.waiting_bytes == 0:
                self.stop_requested.wait(max(0.0, BATCH_S - (time.monotonic() - began)))
        self._end_input()
        while self._write_batch():
            pass

    def _write_batch(self) -> int:
        limit = BATCH_MESSAGES
        if self._options.max_messages is not None:
            limit = min(limit, self._options.max_messages - self._written)
        batch = self._buffer.take(limit, BATCH_BYTES)
        if batch:
            self._commit(batch)
            self._written += len(batch)
        return len(batch)

    def _commit(self, batch: list[Tapped]) -> None:
        offset = self._clock.offset_ns
        rows = [(mono_ns + offset, channel, data) for mono_ns, channel, data in batch]
        while True:
            try:
                self.writer.write(rows)
                return
            except RecordingBusy as error:
                # the buffer holds what arrives meanwhile, and counts what it cannot hold
                log.warning("%s (trying again)", error)
                if self.stop_requested.is_set():
                    self._count_as_dropped(batch)
                    raise
            except DimosRecordError:
                self._count_as_dropped(batch)
                raise

    def _count_as_dropped(self, batch: list[Tapped]) -> None:
        for _, channel, _ in batch:
            self._buffer.dropped[channel] = self._buffer.dropped.get(channel, 0) + 1

    def _apply_limits(self) -> None:
        options = self._options
        if options.max_messages is not None and self._written >= options.max_messages:
            self.request_stop(f"max messages ({options.max_messages})")
        elif options.duration_s is not None and self.elapsed_s >= options.duration_s:
            self.request_stop(f"duration ({options.duration_s:g} s)")
        elif options.max_bytes is not None and self._total_bytes() >= options.max_bytes:
            self.request_stop(f"max size ({options.max_bytes} bytes)")
        elif self._segment_is_full():
            self._split()

    def _total_bytes(self) -> int:
        return self._earlier_bytes + self.writer.size_bytes

    def _segment_is_full(self) -> bool:
        options = self._options
        if options.split_s is not None:
            return self._clock.now_ns() - self._segment_ns >= options.split_s * 1e9
        return options.split_bytes is not None and self.writer.size_bytes >= options.split_bytes

    def _split(self) -> None:
        """Go on in a new segment; the full one is finished beside it."""
        full = self.writer
        self._segment_ns = self._clock.now_ns()
        self._earlier_bytes += full.size_bytes
        fresh = self._target.next_writer(full)
        self._buffer.dropped = {}
        self._begin_session(fresh, self._segment_ns)
        self._earlier = add_accounts(self._earlier, full.accounts())
        self.writer = fresh
        self.segments += 1
        thread = threading.Thread(target=self._finish, args=(full, "split"))
        thread.start()
        self._finishers = [t for t in self._finishers if t.is_alive()] + [thread]

    def _finish(self, writer: RecordingWriter, reason: str) -> None:
        lost = self.lost()
        if lost is not None:
            lost, self._lost_earlier = lost - self._lost_earlier, lost
        try:
            writer.end_session(self._clock.now_ns(), reason, lost, self._clock.jumps)
            self.self_contained &= writer.close()
        except DimosRecordError as error:
            self.error = self.error or error
            self.self_contained = False

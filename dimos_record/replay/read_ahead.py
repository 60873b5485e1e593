"""A thread that reads rows before they are due."""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import islice

from dimos_record.replay.source import Source
from dimos_record.store.base import Row

_BATCH_ROWS = 32
_BATCH_BYTES = 1_000_000
_COMFORTABLE_ROWS, _COMFORTABLE_BYTES = 512, 8_000_000
_BREATH_S = 0.0003
_TAKEN_ROWS = 256


class Reading:
    """Rows being read from one position onwards: what `ReadAhead.begin` returns."""

    def __init__(self, source: Source, start_ns: int, skip: int, end_ns: int) -> None:
        self.source = source
        self.start_ns = start_ns
        self.skip = skip
        self.end_ns = end_ns
        self.batches: deque[tuple[list[Row], int]] = deque()
        """Rows and how many bytes they have."""
        self.rows = 0
        self.bytes = 0
        self.ended = False
        self.error: Exception | None = None

    @property
    def ready(self) -> bool:
        """Whether `ReadAhead.take` would return at once."""
        return bool(self.batches) or self.ended


class ReadAhead:
    """Reads ahead of the playhead, bounded in rows and in bytes.

    Args:
        condition: guards the readings, and is notified when rows have arrived.
        max_rows: how many rows to hold at most.
        max_bytes: how many bytes of payload to hold; one batch may exceed it. Of more than this,
            the caches of a processor lose the oldest, which then take longer to send.
    """

    def __init__(
        self,
        condition: threading.Condition,
        *,
        max_rows: int = 4096,
        max_bytes: int = 24_000_000,
    ) -> None:
        self._condition = condition
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._reading: Reading | None = None
        self._closed = False
        self._running = False
        self._thread = threading.Thread(target=self._run, name="replay-read-ahead", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._running = True
        self._thread.start()

    def begin(self, source: Source, start_ns: int, skip: int, end_ns: int) -> Reading:
        """Read rows in ``[start_ns, end_ns)`` but the first `skip`, and nothing else any more."""
        with self._condition:
            self._reading = Reading(source, start_ns, skip, end_ns)
            self._condition.notify_all()
            return self._reading

    def drop(self) -> None:
        """Read no further, and forget what was read."""
        with self._condition:
            self._reading = None
            self._condition.notify_all()

    def take(self, reading: Reading) -> deque[Row] | None:
        """The next rows of a reading that is ready; None at its end. Call it with the lock held.

        There are a few hundred of them, or about a megabyte.

        Raises:
            Exception: what went wrong while reading.
        """
        if not reading.batches:
            if reading.error is not None:
                raise reading.error
            return None
        taken: deque[Row] = deque()
        size = 0
        while reading.batches and len(taken) < _TAKEN_ROWS and size < _BATCH_BYTES:
            batch, batch_size = reading.batches.popleft()
            taken.extend(batch)
            size += batch_size
        was_full = self._is_full(reading)
        reading.rows -= len(taken)
        reading.bytes -= size
        if was_full and not self._is_full(reading):
            self._condition.notify_all()
        return taken

    def close(self) -> None:
        """End the thread, also with the lock held. Closing twice is harmless."""
        with self._condition:
            self._closed = True
            self._reading = None
            self._condition.notify_all()
            self._condition.wait_for(lambda: not self._running)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        done: Reading | None = None
        while True:
            with self._condition:
                while not self._closed and self._reading in (None, done):
                    self._condition.wait()
                if self._closed:
                    self._running = False
                    self._condition.notify_all()
                    return
                done = self._reading
            if done is not None:
                self._read(done)

    def _read(self, reading: Reading) -> None:
        batch: list[Row] = []
        size = 0
        try:
            rows = reading.source.rows(reading.start_ns, reading.end_ns)
            for row in islice(rows, reading.skip, None):
                batch.append(row)
                size += len(row.data)
                if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
                    if not self._add(reading, batch, size):
                        return
                    batch, size = [], 0
                    if reading.rows > _COMFORTABLE_ROWS or reading.bytes > _COMFORTABLE_BYTES:
                        # Reading holds the interpreter lock: let the publisher be on time.
                        time.sleep(_BREATH_S)
        except Exception as error:  # noqa: BLE001 - kept for the publishing thread, which raises it
            reading.error = error
        self._add(reading, batch, size)
        with self._condition:
            reading.ended = True
            self._condition.notify_all()

    def _add(self, reading: Reading, batch: list[Row], size: int) -> bool:
        """Hand over rows, once there is room; False if nobody wants them any more."""
        with self._condition:
            while self._reading is reading and self._is_full(reading):
                self._condition.wait()
            if self._reading is not reading:
                return False
            if batch:
                if not reading.batches:
                    self._condition.notify_all()
                reading.batches.append((batch, size))
                reading.rows += len(batch)
                reading.bytes += size
            return True

    def _is_full(self, reading: Reading) -> bool:
        return reading.rows >= self._max_rows or reading.bytes >= self._max_bytes

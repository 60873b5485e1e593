"""Copying the log of a file into it while it is written, so that the log stays short.

Everything is written twice: into the log, and from there into the file. A thread does the second
part beside the writer. Only when the whole log is in the file can the log start over, and while the
writer goes on there is always a bit more of it: so the writer copies the last bit itself, which is
short, and what follows overwrites a log that is in memory still. That costs a sixth less CPU than
a log that grows.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from dimos_record.errors import DimosRecordError
from dimos_record.store.writable import WritableFile

STEP_BYTES = 16_000_000
"""The thread copies when so much was written since the log started over."""
REST_BYTES = 16_000_000
"""What the writer copies itself. If more was written meanwhile, the thread copies once more ..."""
LIMIT_BYTES = 64_000_000
"""... unless so much was written: then the thread is slower than the writer, which has to wait."""
LONG_LOG_BYTES, LONG_LOG_S = 64_000_000, 30.0
"""Of small messages the log has many times their bytes: one that is longer is copied so often."""
_LOOK_S = 1.0

log = logging.getLogger("dimos_record")


class LogCopier:
    """Keeps the log of one file short. Start it, tell it of every commit, and close it.

    Args:
        file: is written by one thread, which calls `after_commit`.
    """

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self._log = Path(f"{file.path}-wal")
        self._copied = self._started_over = 0  # bytes that were written by then
        self._behind = False  # whether the thread has copied, and the writer not yet the rest
        self._at_work = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="dimos-record-copier")

    def start(self) -> None:
        """Start the thread."""
        if isinstance(self._file.path, Path):
            self._thread.start()

    def close(self) -> None:
        """End the thread, once it has copied what it is at. May be repeated."""
        self._closing = True
        self._at_work.set()
        if self._thread.ident is not None:
            self._thread.join()

    def after_commit(self) -> None:
        """Have the log copied if that is due: to be called by the thread that writes.

        Raises:
            DiskFull, StorageError
        """
        if self._at_work.is_set():
            return
        written = self._file.written_bytes
        left = written - self._copied
        too_long = written - self._started_over >= LIMIT_BYTES
        if too_long or (self._behind and left <= REST_BYTES):
            self._file.checkpoint()
            self._copied = self._started_over = written
            self._behind = False
        elif self._behind or left >= STEP_BYTES:
            self._behind = True
            self._at_work.set()

    def _run(self) -> None:
        copied_s = time.monotonic()
        while not self._closing:
            asked = self._at_work.wait(_LOOK_S)
            if self._closing:
                return
            if asked or (self._is_long() and time.monotonic() > copied_s + LONG_LOG_S):
                self._copy()
                copied_s = time.monotonic()

    def _is_long(self) -> bool:
        try:
            return self._log.stat().st_size > LONG_LOG_BYTES
        except OSError:
            return False

    def _copy(self) -> None:
        written = self._file.written_bytes
        try:
            self._file.copy_log()
        except DimosRecordError as error:
            log.warning("while copying the log into the recording: %s", error)
        self._copied = written
        self._at_work.clear()

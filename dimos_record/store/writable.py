"""A recording file that is open for writing: transactions, its log, and how it is finished."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dimos_record.errors import RecordingBusy, StorageError
from dimos_record.store.connection import connect_for_writing, errors_about, identity

_LEAVE_TRIES, _LEAVE_PAUSE_S = 5, 0.1


class WritableFile:
    """The connection that writes to a file. Safe to use from several threads."""

    def __init__(self, connection: sqlite3.Connection, path: Path | str) -> None:
        self.path = path
        self.connection = connection
        self._identity = identity(path) if isinstance(path, Path) else None
        self._process = os.getpid()
        self.lock = threading.RLock()
        self._copying = threading.Lock()
        self.written_bytes = 0
        """Bytes of payload that were written since it was opened, about."""
        self._closed = False
        self._alone = False  # whether closing left one self-contained file

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written inside is committed together or not at all; an inner one joins the outer.

        Raises:
            DiskFull, RecordingBusy, StorageError: nothing was written.
            RecordingBusy: also if the file was replaced by another one since it was opened.
            StorageError: also in a process that was forked since; SQLite's locks are not its own.
        """
        self.refuse_if_inherited()
        with self.lock, errors_about(self.path):
            if self.connection.in_transaction:
                yield
                return
            self.connection.execute("BEGIN IMMEDIATE")
            self._remember()
            try:
                self._refuse_if_replaced()
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                self._go_back()
                raise

    @property
    def is_inherited(self) -> bool:
        """Whether this process was forked from the one that opened the file, and writes to it."""
        return os.getpid() != self._process

    def refuse_if_inherited(self) -> None:
        """Raise in a process that was forked: its threads are not there, its locks may be held.

        Raises:
            StorageError
        """
        if self.is_inherited:
            raise StorageError(
                f"{self.path} is written by process {self._process}, from which this one was "
                "forked; open it anew, or write to another recording"
            )

    @property
    def is_replaced(self) -> bool:
        """Whether another file has taken the name of this one."""
        return self._identity is not None and identity(self.path) not in (None, self._identity)

    def _refuse_if_replaced(self) -> None:
        """What would be written into a file that has lost its name would be lost with it."""
        if self.is_replaced:
            raise RecordingBusy(f"{self.path} was saved or replaced meanwhile; open it again")

    def _roll_back(self) -> None:
        try:
            if self.connection.in_transaction:  # SQLite has rolled back itself after some errors
                self.connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the error that led here says more

    def _remember(self) -> None:
        """Note what is kept in memory, at the begin of a transaction."""

    def _go_back(self) -> None:
        """Return to what was noted: the transaction failed."""

    @property
    def size_bytes(self) -> int:
        """Size of the file once its log is copied into it."""
        with self.lock, errors_about(self.path):
            pages = int(self.connection.execute("PRAGMA page_count").fetchone()[0])
            return pages * int(self.connection.execute("PRAGMA page_size").fetchone()[0])

    def flush_every_commit(self) -> None:
        """From now on a commit returns when it is on the disk."""
        with self.lock, errors_about(self.path):
            self.connection.execute("PRAGMA synchronous=FULL")

    def copy_log(self) -> None:
        """Copy the log into the file while writing goes on: for another thread than the writer."""
        with self._copying, errors_about(self.path):
            if self._closed or not isinstance(self.path, Path) or self.is_replaced:
                return
            aside = connect_for_writing(self.path)
            try:
                aside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                aside.close()

    def checkpoint(self) -> None:
        """Bring the copying of the log to its end, so that the log starts over."""
        with self.lock, errors_about(self.path):
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def close(self) -> bool:
        """Finish the file: one self-contained file, without a log beside it. May be repeated.

        Returns:
            Whether the file is self-contained; it is not while somebody else has it open.
        """
        if self.is_inherited:
            return False
        with self._copying:  # a connection that copies would keep the log in use
            was_closed, self._closed = self._closed, True
        if was_closed:
            return self._alone
        with self.lock, errors_about(self.path):
            try:
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._alone = self._leave_wal()
                return self._alone
            finally:
                self.connection.close()

    def abandon(self) -> None:
        """Release the file as it is, finished or not."""
        with self._copying:
            self._closed = True
        self.connection.close()

    def _leave_wal(self) -> bool:
        for attempt in range(_LEAVE_TRIES):
            try:
                mode = self.connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
            except sqlite3.OperationalError:  # a reader has it open, perhaps only for a moment
                if attempt < _LEAVE_TRIES - 1:
                    time.sleep(_LEAVE_PAUSE_S)
            else:
                return bool(mode != "wal")
        return False

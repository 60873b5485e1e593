"""A recording file that is being written: it has another name until it is complete."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from dimos_record.errors import DiskFull, StorageError
from dimos_record.store import catalog, migrations, schema
from dimos_record.store.base import StreamInfo
from dimos_record.store.connection import (
    PAGE_SIZE,
    connect_for_editing,
    errors_about,
    file_uri,
    quote_name,
)
from dimos_record.store.recording_file import remove_recording_file
from dimos_record.store.totals import Totals, save_totals

MADE = "made"
"""What the new file is called in SQL, where rows are copied into it."""

_FLUSH_BYTES = 1_000_000, 64_000_000
_FLUSH_S = 0.05
"""How long the disk is waited for at a time, so that the end does not take long."""

_CACHE_KIB = 8192


class NewFile:
    """Writes one file. Nobody else opens it, and a crash makes it worthless: it has no journal.

    Args:
        path: where to write; there must be nothing.
        for_whom: the recording that messages are about.
    """

    def __init__(self, path: Path, for_whom: Path) -> None:
        self.path = path
        self.for_whom = for_whom
        self._descriptor: int | None = None
        self._unflushed = 0
        self._flush_bytes = 8_000_000

    def create(self, streams: Mapping[str, tuple[StreamInfo, str | None]]) -> dict[str, int]:
        """Create the file with the tables of its streams.

        Args:
            streams: by name, with dimos's config, where dimos is to see the stream.

        Returns:
            The number of each topic.

        Raises:
            StorageError: there is something already, or the folder may not be written.
        """
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise StorageError(
                f"{self.for_whom} cannot be written: {self.path.parent}: {error.strerror}"
            ) from None
        with self.opened() as connection:
            migrations.migrate(connection, self.for_whom)
            connection.execute("BEGIN")
            numbers = {
                name: _create_stream(connection, info, config)
                for name, (info, config) in streams.items()
            }
            connection.execute("COMMIT")
        return numbers

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The file as a database of its own."""
        with errors_about(self.for_whom):
            connection = connect_for_editing(self.path, create=True)
            try:
                _configure(connection, "main")
                yield connection
            finally:
                connection.close()

    @contextmanager
    def attached(self, connection: sqlite3.Connection) -> Iterator[None]:
        """The file as a second database, `MADE`, of a connection that reads another one."""
        with errors_about(self.for_whom):
            connection.execute("PRAGMA query_only=OFF")
            uri = file_uri(self.path, "mode=rw&vfs=unix")
            connection.execute(f"ATTACH ? AS {MADE}", (uri,))
            try:
                _configure(connection, MADE)
                yield
            except BaseException:
                with suppress(sqlite3.Error):  # what led here says more
                    connection.execute(f"DETACH {MADE}")
                raise
            connection.execute(f"DETACH {MADE}")

    def wrote(self, size: int) -> None:
        """So many bytes of payload were written; now and then this waits for the disk."""
        self._unflushed += size
        if self._unflushed < self._flush_bytes or self._descriptor is None:
            return
        began = time.monotonic()
        self._sync(os.fdatasync, self._descriptor)
        faster = _FLUSH_S / max(1e-3, time.monotonic() - began)
        at_least, at_most = _FLUSH_BYTES
        wanted = self._flush_bytes * min(2.0, faster)
        self._flush_bytes = round(min(max(wanted, at_least), at_most))
        self._unflushed = 0

    def note_totals(self, totals: Totals) -> None:
        """Write down what was counted: the last change of the file, by a connection that counts."""
        with errors_about(self.for_whom), closing(connect_for_editing(self.path)) as connection:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("BEGIN IMMEDIATE")
            save_totals(connection, self.path, totals)
            connection.execute("COMMIT")

    def finish(self) -> None:
        """Wait until all of it is on the disk, and release it."""
        if self._descriptor is not None:
            self._sync(os.fsync, self._descriptor)
            self._close()

    def _sync(self, sync: Callable[[int], None], descriptor: int) -> None:
        try:
            sync(descriptor)
        except OSError as error:
            kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
            raise kind(f"{self.for_whom} cannot be written: {error.strerror}") from None

    def discard(self) -> None:
        """Delete what was written."""
        self._close()
        remove_recording_file(self.path)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _configure(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(f"PRAGMA {name}.page_size={PAGE_SIZE}")
    connection.execute(f"PRAGMA {name}.locking_mode=EXCLUSIVE")
    connection.execute(f"PRAGMA {name}.journal_mode=OFF")
    connection.execute(f"PRAGMA {name}.synchronous=OFF")
    connection.execute(f"PRAGMA {name}.cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA {name}.secure_delete=OFF")


def _create_stream(connection: sqlite3.Connection, info: StreamInfo, config: str | None) -> int:
    schema.create_stream(connection, info.name)
    number = catalog.save_topic(connection, info)
    connection.execute("DELETE FROM _streams WHERE name = ?", (info.name,))
    if config is not None:
        connection.execute("INSERT INTO _streams VALUES (?, ?)", (info.name, config))
    return number


def made(name: str) -> str:
    """A table of the new file in SQL, where the file is attached."""
    return f"{MADE}.{quote_name(name)}"

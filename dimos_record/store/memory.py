"""A recording that lives in memory: the same tables, for as long as the store lives."""

from __future__ import annotations

from dimos_record.errors import RecordingExists
from dimos_record.store.connection import connect_in_memory
from dimos_record.store.migrations import migrate
from dimos_record.store.reader import RecordingReader
from dimos_record.store.target import Target, cannot_split
from dimos_record.store.writer import RecordingWriter


class MemoryStore:
    """A store for tests and for short recordings that need no file."""

    name = "memory"

    def __init__(self) -> None:
        self._writer = _new_writer()

    def exists(self) -> bool:
        """Whether anything was recorded."""
        return self._writer.seq > 0

    def reader(self) -> RecordingReader:
        """A reader; it shares the one connection, and its lock."""
        return RecordingReader(
            self._writer.connection, self.name, lock=self._writer.lock, owns=False
        )

    def target(
        self, *, split: bool = False, append: bool = False, overwrite: bool = False
    ) -> Target:
        """The writer.

        Raises:
            OptionError: memory cannot be split into segments.
            RecordingExists: something was recorded and neither `append` nor `overwrite` is set.
        """
        if split:
            cannot_split(self._writer)
        if self.exists() and not (append or overwrite):
            raise RecordingExists("something is recorded in memory already; append, or overwrite")
        if self.exists() and overwrite:
            self._writer.connection.close()
            self._writer = _new_writer()
        return Target(self._writer, cannot_split, lambda: None)

    def close(self) -> None:
        """Forget everything."""
        with self._writer.lock:
            self._writer.connection.close()


def _new_writer() -> _MemoryWriter:
    writer = _MemoryWriter(connect_in_memory(), MemoryStore.name)
    migrate(writer.connection, MemoryStore.name)
    return writer


class _MemoryWriter(RecordingWriter):
    """A writer whose recording stays readable after it is finished."""

    def close(self) -> bool:
        self.drain()
        return True

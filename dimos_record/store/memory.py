"""A recording that lives in memory: the same tables, for as long as the store lives."""

from __future__ import annotations

from typing import TypeVar

from dimos_record.errors import EditError, RecordingExists
from dimos_record.store.connection import connect_in_memory
from dimos_record.store.edited import EditedReader
from dimos_record.store.editing import Change, Result
from dimos_record.store.reader import RecordingReader
from dimos_record.store.target import Target, cannot_split
from dimos_record.store.writer import RecordingWriter

Kind = TypeVar("Kind", bound="MemoryWriter")


class MemoryStore:
    """A store for tests and for short recordings that need no file."""

    name = "memory"

    def __init__(self) -> None:
        self._writer = MemoryWriter.new()

    def exists(self) -> bool:
        """Whether anything was recorded."""
        return self._writer.seq > 0

    def reader(self) -> EditedReader:
        """A reader; it shares the one connection, and its lock."""
        writer = self._writer
        return EditedReader(
            RecordingReader(writer.connection, self.name, lock=writer.lock, owns=False)
        )

    def edit(self, change: Change[Result]) -> Result:
        """Change the list of edits, which lives in memory, too."""
        with self._writer.transaction():
            return change(self._writer.connection)

    def target(
        self,
        *,
        split: bool = False,
        append: bool = False,
        overwrite: bool = False,
        ring: bool = False,
    ) -> Target:
        """The writer.

        Raises:
            OptionError: memory cannot be split into segments.
            EditError: what is to be appended to has edits that are not saved.
            RecordingExists: something was recorded and neither `append` nor `overwrite` is set.
        """
        if split or ring:
            cannot_split(self._writer)
        if self.exists() and not (append or overwrite):
            raise RecordingExists("something is recorded in memory already; append, or overwrite")
        if self.exists() and overwrite:
            fresh = MemoryWriter.new()
            return Target(fresh, cannot_split, fresh.forget, lambda: self._replace(fresh))
        if self.reader().edited:
            raise EditError(
                f"{self.name} has edits that are not saved; write what they leave with save_as(), "
                "or drop them with revert()"
            )
        return Target(self._writer, cannot_split, self._writer.take_back)

    def _replace(self, fresh: MemoryWriter) -> None:
        earlier, self._writer = self._writer, fresh
        earlier.forget()

    def close(self) -> None:
        """Forget everything."""
        self._writer.forget()


class MemoryWriter(RecordingWriter):
    """A writer whose recording stays readable after it is finished."""

    @classmethod
    def new(cls: type[Kind], name: str = "memory") -> Kind:
        """The writer of a new recording.

        Args:
            name: what messages call it.
        """
        writer = cls(connect_in_memory(), name)
        writer._prepare()
        return writer

    def close(self) -> bool:
        self.drain()
        return True

    def take_back(self) -> None:
        """Forget a session that could not start."""
        if self.session is not None:
            self.forget_session()

    def forget(self) -> None:
        """Forget everything that was recorded."""
        with self.lock:
            self.connection.close()

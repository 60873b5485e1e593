"""Where recordings live: what a `RecordReplay` needs of a store."""

from __future__ import annotations

from typing import Protocol

from dimos_record.store.queries import QueryableReader
from dimos_record.store.target import Target


class Store(Protocol):
    """A place for one recording: `FileStore`, `MemoryStore`, or one of your own."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def exists(self) -> bool:
        """Whether there is a recording."""

    def reader(self) -> QueryableReader:
        """Open the recording for reading."""

    def target(
        self, *, split: bool = False, append: bool = False, overwrite: bool = False
    ) -> Target:
        """Open or create the recording for writing."""

    def close(self) -> None:
        """Release what the store holds."""

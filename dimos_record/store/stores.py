"""Where recordings live: what a `RecordReplay` needs of a store."""

from __future__ import annotations

from typing import Protocol

from dimos_record.store.edited import EditedReader
from dimos_record.store.editing import Change, Result
from dimos_record.store.target import Target


class Store(Protocol):
    """A place for one recording: `FileStore`, `MemoryStore`, or one of your own."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def exists(self) -> bool:
        """Whether there is a recording."""

    def reader(self) -> EditedReader:
        """Open the recording for reading, as its edits leave it."""

    def edit(self, change: Change[Result]) -> Result:
        """Change the list of edits that the recording keeps, in one transaction."""

    def target(
        self,
        *,
        split: bool = False,
        append: bool = False,
        overwrite: bool = False,
        ring: bool = False,
    ) -> Target:
        """Open or create the recording for writing."""

    def close(self) -> None:
        """Release what the store holds."""

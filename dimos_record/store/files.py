"""A recording in a file, or in a folder of segments."""

from __future__ import annotations

from pathlib import Path

from dimos_record.store import open_recording
from dimos_record.store.edited import EditedReader
from dimos_record.store.editing import Change, Result, change_edits
from dimos_record.store.target import Target, open_target


class FileStore:
    """A store at a path; nothing is opened before it is needed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether there is a file or a folder."""
        return self.path.exists()

    def reader(self) -> EditedReader:
        """Open it for reading; see `open_recording`."""
        return open_recording(self.path)

    def target(
        self,
        *,
        split: bool = False,
        append: bool = False,
        overwrite: bool = False,
        ring: bool = False,
    ) -> Target:
        """Open or create it for writing; see `open_target`."""
        return open_target(self.path, split=split, append=append, overwrite=overwrite, ring=ring)

    def edit(self, change: Change[Result]) -> Result:
        """Change its list of edits; see `change_edits`."""
        return change_edits(self.path, change)

    def close(self) -> None:
        """Nothing is kept open."""

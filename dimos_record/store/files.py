"""A recording in a file, or in a folder of segments."""

from __future__ import annotations

from pathlib import Path

from dimos_record.store import open_recording
from dimos_record.store.reader import RecordingReader
from dimos_record.store.segments import SegmentedReader
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

    def reader(self) -> RecordingReader | SegmentedReader:
        """Open it for reading; see `open_recording`."""
        return open_recording(self.path)

    def target(
        self, *, split: bool = False, append: bool = False, overwrite: bool = False
    ) -> Target:
        """Open or create it for writing; see `open_target`."""
        return open_target(self.path, split=split, append=append, overwrite=overwrite)

    def close(self) -> None:
        """Nothing is kept open."""

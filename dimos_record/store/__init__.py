"""The recording file: reading, writing, queries, codecs, migrations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dimos_record.store.reader import RecordingReader
    from dimos_record.store.segments import SegmentedReader


def open_recording(path: Path) -> RecordingReader | SegmentedReader:
    """Open a recording for reading, a file or a folder of segments; nothing on disk changes.

    Raises:
        RecordingNotFound: there is no such file or folder.
        NotARecording: it is something else.
        RecordingDamaged: it is truncated or corrupt.
        NewerSchema: a newer release wrote it.
        StorageError: it cannot be read.
    """
    from dimos_record.store.reader import RecordingReader
    from dimos_record.store.segments import SegmentedReader

    return SegmentedReader(path) if os.path.isdir(path) else RecordingReader.open(path)

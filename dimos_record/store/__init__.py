"""The recording file: reading, writing, queries, codecs, migrations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dimos_record.store.edited import EditedReader
    from dimos_record.store.reader import RecordingReader
    from dimos_record.store.segments import SegmentedReader


def open_recording(path: Path) -> EditedReader:
    """Open a recording for reading, as its edits leave it; nothing on disk changes.

    Raises:
        RecordingNotFound: there is no such file or folder.
        NotARecording: it is something else.
        RecordingDamaged: it is truncated or corrupt.
        NewerSchema: a newer release wrote it.
        StorageError: it cannot be read.
    """
    from dimos_record.store.edited import EditedReader

    base = open_as_recorded(path)
    try:
        return EditedReader(base)
    except BaseException:
        base.close()
        raise


def open_as_recorded(path: Path) -> RecordingReader | SegmentedReader:
    """Open a recording, a file or a folder of segments, without what its edits change.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
    """
    from dimos_record.store.reader import RecordingReader
    from dimos_record.store.segments import SegmentedReader

    return SegmentedReader(path) if os.path.isdir(path) else RecordingReader.open(path)

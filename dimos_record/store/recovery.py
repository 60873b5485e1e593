"""Putting in order what a killed recorder left."""

from __future__ import annotations

from pathlib import Path

from dimos_record.store import open_as_recorded
from dimos_record.store.segments import segments_of
from dimos_record.store.unfinished import clean_up
from dimos_record.store.writer import RecordingWriter


def recover(path: Path) -> bool:
    """Finish a recording, a file or a folder of segments: nothing of it is lost or decoded.

    What is in the log and in the spool goes into the tables of the streams, and sessions that were
    killed get an end. What a killed save has left beside it is deleted. A recording that is in
    order stays as it is.

    Returns:
        Whether it is self-contained now; it is not while somebody else has it open.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
        RecordingBusy: it is being recorded into.
    """
    clean_up(path)
    with open_as_recorded(path) as reader:
        in_order = reader.self_contained and not any(
            session.state == "killed" and session.stop_ns is None for session in reader.sessions()
        )
    if in_order:
        return True
    files = segments_of(path) if path.is_dir() else [path]
    finished = [RecordingWriter.append(file).close() for file in files]
    return all(finished)

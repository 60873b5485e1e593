"""Writing the edits of a recording into its own file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dimos_record.edit.carried import Timeline, same_recording
from dimos_record.edit.new_file import NewFile
from dimos_record.edit.plan import path_of, plan_file
from dimos_record.edit.progress import OnProgress, Progress
from dimos_record.edit.replacing import Replaceable, refuse_if_edited_meanwhile
from dimos_record.edit.room import ELSEWHERE, check_room
from dimos_record.edit.save_folder import save_folder
from dimos_record.edit.writing import SaveReport, write_file
from dimos_record.errors import EditError, OptionError
from dimos_record.store.edit_state import EditState
from dimos_record.store.edited import EditedReader
from dimos_record.store.edits import Edit
from dimos_record.store.unfinished import clean_up, unfinished_path


def save(
    reader: EditedReader, close_own: Callable[[], None], on_progress: OnProgress | None = None
) -> SaveReport:
    """Write a recording as its edits leave it into its own file, at one stroke.

    Whatever happens, also a kill or a power cut, the file is as before or as after.

    Args:
        reader: the recording.
        close_own: closes the reader, and whatever else of this program has the recording open.
        on_progress: gets (bytes done, bytes in all, about) some ten times a second; what it raises
            cancels: nothing is changed then.

    Raises:
        EditError: nothing was edited.
        OptionError: the recording lives in memory.
        RecordingBusy: somebody else has it open; the message says who.
        DiskFull: there is no room for the new file beside the old one.
        StorageError: it is read-only.
        CodecError, MissingExtra, RecordingDamaged
    """
    path = _path_of(reader)
    edits, state, timeline = reader.edits, reader.state, Timeline.of(reader)
    if not reader.edited:
        raise EditError(f"{path} has no unsaved edits")
    close_own()
    clean_up(path)
    if path.is_dir():
        return save_folder(path, edits, state, timeline, on_progress)
    return _save_file(path, edits, state, timeline, on_progress)


def _path_of(reader: EditedReader) -> Path:
    path = path_of(reader)
    if path is None:
        raise OptionError(f"{reader.name} has no file to save into; use save_as()")
    return path.resolve()  # a link stays one


def _save_file(
    path: Path,
    edits: list[Edit],
    state: EditState,
    timeline: Timeline,
    on_progress: OnProgress | None,
) -> SaveReport:
    size_before = path.stat().st_size
    with Replaceable(path, [path]) as old:
        refuse_if_edited_meanwhile(path, old.connections[0], edits)
        progress = Progress(on_progress, size_before)
        plan = plan_file(path, state, progress)
        progress.expect(plan.bytes)
        check_room(path, [plan], ELSEWHERE)
        new = NewFile(unfinished_path(path), path)
        timeline = timeline.with_meta(same_recording(plan))
        written = write_file(new, [plan], timeline, progress)
        try:
            progress.finish()
            old.replace(new.path)
        except BaseException:
            new.discard()
            raise
    return SaveReport(path, *written, size_before, os.path.getsize(path))

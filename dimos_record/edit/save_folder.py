"""Writing the edits of a folder of segments: what is not touched by them is linked, not copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dimos_record.edit.carried import Timeline, same_recording
from dimos_record.edit.new_file import NewFile
from dimos_record.edit.plan import FilePlan, plan_files
from dimos_record.edit.progress import OnProgress, Progress
from dimos_record.edit.replacing import (
    Replaceable,
    copy_rights,
    refuse_if_edited_meanwhile,
)
from dimos_record.edit.room import ELSEWHERE, check_room
from dimos_record.edit.writing import SaveReport, Written, write_file
from dimos_record.errors import EditError, StorageError
from dimos_record.store.base import Marker
from dimos_record.store.edit_state import EditState
from dimos_record.store.edits import Edit, load_markers
from dimos_record.store.recording_file import recording_files, sync_folder
from dimos_record.store.segments import edits_file, segments_of
from dimos_record.store.unfinished import remove, unfinished_path


@dataclass(frozen=True)
class _Segment:
    """A segment of the new folder."""

    plan: FilePlan
    plans: tuple[FilePlan, ...]
    """What it is written from: its own file, and those that are dropped, for what they know of
    sessions and streams."""
    timeline: Timeline | None
    """None for a file that stays as it is."""


def save_folder(
    folder: Path,
    edits: list[Edit],
    state: EditState,
    timeline: Timeline,
    on_progress: OnProgress | None,
) -> SaveReport:
    """Write a folder of segments as its edits leave it; see `save`."""
    segments = segments_of(folder)
    size_before = _size(folder)
    with Replaceable(folder, [*segments, edits_file(folder)]) as old:
        refuse_if_edited_meanwhile(folder, old.connections[-1], edits)
        progress = Progress(on_progress, size_before)
        plans = plan_files(segments, state, progress)
        markers = [load_markers(connection) for connection in old.connections[:-1]]
        with _new_folder(folder) as new:
            can_link = _can_link(segments[0], new)
            new_segments = _arranged(plans, markers, timeline, can_link)
            rewritten = [plan for one in new_segments if one.timeline for plan in one.plans]
            check_room(folder, rewritten, ELSEWHERE)
            progress.expect(sum(plan.bytes for plan in rewritten))
            written = [_make(folder, new, segment, progress) for segment in new_segments]
            _bring_others(folder, new, can_link)
            sync_folder(new)
            progress.finish()
            old.replace(new)
    messages, payload = map(sum, zip(*written, strict=True))
    return SaveReport(folder, messages, payload, size_before, _size(folder))


def _arranged(
    plans: Sequence[FilePlan],
    markers: Sequence[list[Marker]],
    timeline: Timeline,
    can_link: bool,
) -> list[_Segment]:
    """Which segments are linked, which are written anew, and which of these bears the rest.

    What the whole recording says of its timeline has to be in some segment that is written anew,
    as has what is known of the sessions of segments that are dropped.

    Raises:
        EditError: no segment has a message.
    """
    stored = {plan.path: found for plan, found in zip(plans, markers, strict=True)}
    gone = [plan for plan in plans if plan.changed and not plan.count]
    left = [plan for plan in plans if not (plan.changed and not plan.count)]
    if not left:
        raise EditError("its edits would leave no message; take one back before it is saved")
    changed = [
        plan
        for plan in left
        if plan.changed
        or not can_link
        or any(marker not in timeline.markers for marker in stored[plan.path])
    ]
    bearer = min(changed or left, key=lambda plan: plan.path.stat().st_size)
    written = {plan.path for plan in (*changed, bearer)}
    linked = [plan for plan in left if plan.path not in written]
    there = [marker for plan in linked for marker in stored[plan.path]]
    whole = replace(timeline, markers=[one for one in timeline.markers if one not in there])
    part = replace(timeline, skips=(), markers=())

    def segment(plan: FilePlan) -> _Segment:
        meta = same_recording(plan)
        if plan.path not in written:
            return _Segment(plan, (plan,), None)
        if plan is not bearer:
            return _Segment(plan, (plan,), part.with_meta(meta))
        sources = sorted((*gone, plan), key=lambda one: one.path)
        return _Segment(plan, tuple(sources), whole.with_meta(meta))

    return [segment(plan) for plan in left]


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into; deleted when anything fails."""
    new = unfinished_path(folder)
    try:
        new.mkdir()
    except OSError as error:
        raise StorageError(f"{folder} cannot be saved: {folder.parent}: {error.strerror}") from None
    descriptor = os.open(new, os.O_RDONLY)  # what is open is not left over from a kill
    try:
        yield new
    except BaseException:
        remove(new)
        raise
    finally:
        os.close(descriptor)


def _can_link(file: Path, folder: Path) -> bool:
    """Whether the file system has hard links."""
    try:
        os.link(file, folder / file.name)
    except OSError:
        return False
    (folder / file.name).unlink()
    return True


def _make(folder: Path, new: Path, segment: _Segment, progress: Progress) -> Written:
    """Link a segment or write it."""
    plan, path = segment.plan, new / segment.plan.path.name
    if segment.timeline is None:
        os.link(plan.path, path)
        return Written(plan.count, plan.bytes)
    first_ids = {stream.name: stream.first_id for stream in plan.streams}
    file = NewFile(path, folder)
    written = write_file(file, segment.plans, segment.timeline, progress, first_ids=first_ids)
    copy_rights(plan.path, path)
    return written


def _bring_others(folder: Path, new: Path, can_link: bool) -> None:
    """Take along what lies in the folder and is no part of the recording."""
    bring = os.link if can_link else shutil.copy2
    parts = [*segments_of(folder), edits_file(folder)]
    known = {file.name for part in parts for file in recording_files(part)}
    for entry in folder.iterdir():
        if entry.name in known:
            continue
        try:
            if entry.is_dir() and not entry.is_symlink():
                shutil.copytree(entry, new / entry.name, symlinks=True, copy_function=bring)
            else:
                bring(entry, new / entry.name, follow_symlinks=False)
        except OSError as error:  # of several, where it is a folder
            raise StorageError(f"{entry} cannot be taken along: {error}") from None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in segments_of(folder))

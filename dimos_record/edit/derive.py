"""Writing new recordings from one that stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from dimos_record.edit.carried import Timeline, another_recording
from dimos_record.edit.new_file import NewFile
from dimos_record.edit.plan import FilePlan, files_of, path_of, plan_files, size_of
from dimos_record.edit.progress import OnProgress, Progress
from dimos_record.edit.replacing import Replaceable, put_new
from dimos_record.edit.room import check_room
from dimos_record.edit.writing import SaveReport, Written, write_file
from dimos_record.errors import EditError, OptionError
from dimos_record.store import open_as_recorded
from dimos_record.store.edit_state import EditState
from dimos_record.store.edited import EditedReader, RecordedReader
from dimos_record.store.edits import Edit
from dimos_record.store.paths import path_for_writing
from dimos_record.store.recording_file import already_exists
from dimos_record.store.segments import edits_file, segments_of
from dimos_record.store.target import check_target
from dimos_record.store.unfinished import clean_up, unfinished_path

SectionNs = tuple["int | None", "int | None"]
"""``[a, b)`` in receive times; None is the start or the end of the recording."""


def save_as(
    reader: EditedReader,
    name: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> SaveReport:
    """Write a recording as its edits leave it into a new file.

    Args:
        reader: the recording, which stays as it is.
        name: of the new file; see `store.paths.path_for_writing`.
        overwrite: replace another recording that nobody has open.
        on_progress: see `save`.

    Raises:
        OptionError: the name is that of the recording itself.
        RecordingExists: there is something of that name.
        NotARecording: it is to be overwritten and is none.
        RecordingBusy: it is to be overwritten and in use.
        DiskFull: there is no room for it.
        StorageError, CodecError, MissingExtra, RecordingDamaged
    """
    return write_new(
        reader,
        reader.state,
        Timeline.of(reader),
        path_for_writing(name),
        overwrite=overwrite,
        on_progress=on_progress,
    )


def write_new(
    reader: EditedReader,
    state: EditState,
    timeline: Timeline,
    path: Path,
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> SaveReport:
    """Write what a state leaves of a recording into a new file; see `save_as`.

    Args:
        timeline: of the new file, without what it says of itself.
    """
    with Target.prepared(reader, path, overwrite) as target:
        with files_of(reader) as files:
            size_before = size_of(files)
            progress = Progress(on_progress, size_before)
            plans = plan_files(files, state, progress)
            check_room(target.path, plans, "choose a name on another disk")
            progress.expect(sum(plan.bytes for plan in plans))
            whole = timeline.with_meta(another_recording(plans))
            written = write_file(target.new, plans, whole, progress)
        progress.finish()
        return target.put(written, size_before)


def extract(
    reader: EditedReader,
    section_ns: SectionNs,
    name: str | os.PathLike[str],
    *,
    streams: Iterable[str] | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> SaveReport:
    """Write a section of a recording as its edits leave it into a new file.

    What latched topics said before the section is kept as far as the section needs it, and times
    stay as they are: position 0 is that of the recording.

    Args:
        section_ns: ``[a, b)`` in receive times; None is no limit.
        streams: the streams to take, by their names as recorded; None for all.

    Raises:
        EditError: there is nothing in the section.
        Others: see `save_as`.
    """
    part = part_of(reader, section_ns, streams)
    if part.span_ns() is None:
        raise EditError(f"{reader.name} has no message in the section; nothing was written")
    return save_as(part, name, overwrite=overwrite, on_progress=on_progress)


def split(
    reader: EditedReader,
    at_ns: Sequence[int],
    names: Sequence[str | os.PathLike[str]] | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> list[SaveReport]:
    """Write a recording as its edits leave it into several new files, all or none.

    Args:
        at_ns: receive times at which the second and every following file begins, ascending.
        names: one more than times; without them NAME-1.db, NAME-2.db ... beside the recording.

    Raises:
        OptionError: the times do not ascend, or there are too few or too many names.
        EditError: one of the files would have no message.
        RecordingExists: one of the names is taken.
        Others: see `save_as`.
    """
    edges = [None, *at_ns, None]
    if not at_ns or list(at_ns) != sorted(set(at_ns)):
        raise OptionError("split needs times that ascend; give for example [10, 20.5]")
    paths = [path_for_writing(name) for name in names] if names else _beside(reader, len(edges) - 1)
    if len(paths) != len(edges) - 1 or len(set(paths)) != len(paths):
        raise OptionError(f"{len(at_ns)} times make {len(edges) - 1} files; give as many names")
    parts = [part_of(reader, section) for section in pairwise(edges)]
    for path, part in zip(paths, parts, strict=True):
        if part.span_ns() is None:
            raise EditError(f"{path} would have no message; nothing was written")
    return _write_all(reader, parts, paths, on_progress)


def _write_all(
    reader: EditedReader,
    parts: Sequence[EditedReader],
    paths: Sequence[Path],
    on_progress: OnProgress | None,
) -> list[SaveReport]:
    with ExitStack() as stack, files_of(reader) as files:
        targets = [stack.enter_context(Target.prepared(reader, path, False)) for path in paths]
        size_before = size_of(files)
        progress = Progress(on_progress, size_before)
        plans = [plan_files(files, part.state, progress) for part in parts]
        everything = [plan for part in plans for plan in part]
        check_room(paths[0], everything, "choose names on another disk")
        progress.expect(sum(plan.bytes for plan in everything))
        written = [
            write_file(target.new, planned, _timeline(part, planned), progress)
            for target, part, planned in zip(targets, parts, plans, strict=True)
        ]
        progress.finish()
        put: list[SaveReport] = []
        try:
            for target, one in zip(targets, written, strict=True):
                put.append(target.put(one, size_before))
        except BaseException:
            for report in put:
                report.path.unlink()
            raise
    return put


def _timeline(reader: EditedReader, plans: Sequence[FilePlan]) -> Timeline:
    return Timeline.of(reader).with_meta(another_recording(plans))


def _beside(reader: EditedReader, count: int) -> list[Path]:
    path = path_of(reader)
    if path is None:
        raise OptionError(f"{reader.name} has no file; say what the parts are to be called")
    return [path.with_name(f"{path.stem}-{number}.db") for number in range(1, count + 1)]


def part_of(
    reader: EditedReader, section_ns: SectionNs, streams: Iterable[str] | None = None
) -> EditedReader:
    """The recording as if its last edits were a trim to a section, and to some streams."""
    a, b = section_ns
    more = []
    if section_ns != (None, None):
        more.append(Edit(0, 0, "trim", {"a": a, "b": b, "streams": None}))
    if streams is not None:
        wanted = set(streams)
        others = [name for name in reader.base.streams if name not in wanted]
        more.append(Edit(0, 0, "delete", {"streams": others}))
    return EditedReader(cast(RecordedReader, _MoreEdits(reader.base, more)))


class _MoreEdits:
    """A recording with edits that are not kept in it."""

    def __init__(self, base: RecordedReader, more: Sequence[Edit]) -> None:
        self._base = base
        self._more = more

    def edits(self) -> list[Edit]:
        return [*(edit for edit in self._base.edits() if not edit.undone), *self._more]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)


@dataclass(frozen=True)
class Target:
    """Where a new recording is to be, and the file that it is written in until it is complete."""

    path: Path
    new: NewFile
    replaced: Replaceable | None
    """What is there now, held so that nobody else opens it."""

    @classmethod
    @contextmanager
    def prepared(cls, source: EditedReader, path: Path, overwrite: bool) -> Iterator[Target]:
        """Check a target, and hold it if it is to be replaced.

        Raises:
            OptionError, RecordingExists, NotARecording, RecordingBusy, StorageError
        """
        refuse_itself(source, path)
        clean_up(path)
        if os.path.exists(path) and not overwrite:
            raise already_exists(path, may_append=False)
        check_target(path, overwrite=overwrite)
        path = path.resolve() if path.is_symlink() else path
        new = NewFile(unfinished_path(path), path)
        with ExitStack() as stack:
            replaced = None
            if os.path.lexists(path):
                replaced = stack.enter_context(Replaceable(path, _files_at(path)))
            stack.callback(new.discard)
            yield cls(path, new, replaced)

    def put(self, written: Written, size_before: int) -> SaveReport:
        """Give the finished file its name."""
        if self.replaced is not None:
            self.replaced.replace(self.new.path)
        else:
            try:
                put_new(self.new.path, self.path)
            except FileExistsError:
                raise already_exists(self.path, may_append=False) from None
        return SaveReport(self.path, *written, size_before, os.path.getsize(self.path))


def refuse_itself(source: EditedReader, path: Path) -> None:
    """Raise if a new recording would take the place of what it is made from.

    Raises:
        OptionError: it would.
    """
    read, wanted = path_of(source), path.resolve()
    if read is not None and (
        read.resolve() == wanted
        or wanted in read.resolve().parents
        or read.resolve() in wanted.parents
    ):
        raise OptionError(
            f"{path} is, or lies in, the recording that is read; choose another name, or save() it"
        )


def _files_at(path: Path) -> list[Path]:
    """The files of a recording that is to be replaced.

    Raises:
        NotARecording: it is none.
    """
    open_as_recorded(path).close()
    if not path.is_dir():
        return [path]
    return [*segments_of(path), *(file for file in [edits_file(path)] if file.exists())]

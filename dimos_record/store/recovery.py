"""Putting in order what a killed recorder left, and saving what is left of damaged recordings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dimos_record.errors import NotARecording, OptionError, RecordingDamaged, RecordingExists
from dimos_record.store import open_as_recorded
from dimos_record.store.doctor import Diagnosis, diagnose
from dimos_record.store.recording_file import is_unborn, refuse_if_busy, remove_recording_file
from dimos_record.store.salvage import SalvageReport, salvage
from dimos_record.store.segments import segments_of
from dimos_record.store.unfinished import clean_up, remove, unfinished_path
from dimos_record.store.writer import RecordingWriter

OnProgress = Callable[[str, int, int], None]
"""(what goes on, steps done, steps in all); an exception that it raises cancels."""


@dataclass(frozen=True)
class Recovered:
    """What became of a recording."""

    path: Path
    """The recording that is in order now: the same, or a new one."""
    finished: bool
    """Whether it is self-contained; it is not while somebody else has it open."""
    reports: tuple[SalvageReport, ...] = ()
    """What was saved of each damaged file; none where nothing was damaged."""

    @property
    def complete(self) -> bool:
        """Whether no message is missing."""
        return all(report.complete for report in self.reports)


def recover(path: Path) -> bool:
    """Finish a recording, a file or a folder of segments: nothing of it is lost or decoded.

    What is in the log and in the spool goes into the tables of the streams, and sessions that were
    killed get an end. What a killed save has left beside it is deleted, and a segment that was
    being created and holds nothing. A recording that is in order stays as it is.

    Returns:
        Whether it is self-contained now; it is not while somebody else has it open.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
        RecordingBusy: it is being recorded into.
    """
    clean_up(path)
    with open_as_recorded(path) as reader:
        sessions = reader.sessions()
        refuse_if_busy(path, sessions)
        in_order = reader.self_contained and not any(
            session.state == "killed" and session.stop_ns is None for session in sessions
        )
    files = segments_of(path) if path.is_dir() else [path]
    if len(files) > 1 and is_unborn(files[-1]):
        remove_recording_file(files.pop())
    if in_order:
        return True
    finished = [RecordingWriter.append(file).close() for file in files]
    return all(finished)


def rescue(
    path: Path,
    target: Path | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Recovered:
    """Finish a recording, or, if it is damaged, write what is left of it into a new one.

    A damaged recording is not changed. All of it is read to find out.

    Args:
        target: where a damaged recording's messages go; by default `walk-recovered.db` beside it.
        overwrite: replace what is there under that name.

    Raises:
        RecordingExists: the new recording is to have the name of something that is there.
        RecordingDamaged: nothing can be saved.
        RecordingBusy: it is being recorded into, or somebody has the damaged file open.
        RecordingNotFound, NotARecording, NewerSchema, StorageError, DiskFull
    """
    tell = on_progress or (lambda what, done, total: None)
    refusal: RecordingDamaged | NotARecording | None = None
    try:
        found = diagnose(path, on_progress=lambda done, total: tell("Checking", done, total))
        if not found.damaged:
            return Recovered(path, recover(path))
        damaged = _damaged_files(path, found)
    except (RecordingDamaged, NotARecording) as error:
        if not path.is_file():  # a folder, or a device that any process may have open
            raise
        refusal, damaged = error, [path]
    target = target or path.with_name(f"{path.stem}-recovered{path.suffix}")
    _check_target(path, target, overwrite)

    def on_salvage(done: int, total: int) -> None:
        tell("Saving", done, total)

    if path.is_dir():
        return Recovered(target, True, _rescue_folder(path, damaged, target, on_salvage))
    try:
        report = salvage(path, target, overwrite=overwrite, on_progress=on_salvage)
    except RecordingDamaged:
        if isinstance(refusal, NotARecording):
            raise refusal from None
        raise
    return Recovered(target, True, (report,))


def _damaged_files(path: Path, found: Diagnosis) -> list[Path]:
    files = segments_of(path) if path.is_dir() else [path]
    hurt = {finding.file for finding in found.findings if finding.severity == "damage"}
    return [file for file in files if file in hurt]


def _check_target(path: Path, target: Path, overwrite: bool) -> None:
    if target.resolve() == path.resolve():
        raise OptionError(f"{path} cannot be written into itself; choose another name")
    if os.path.lexists(target) and not (overwrite and target.is_dir() == path.is_dir()):
        raise RecordingExists(
            f"{target} exists already; replace it with --overwrite, or choose another name"
        )


def _rescue_folder(
    folder: Path, damaged: list[Path], target: Path, on_salvage: Callable[[int, int], None]
) -> tuple[SalvageReport, ...]:
    """Write a folder of segments: those that are not damaged are copied as they are."""
    clean_up(target)
    new, reports = unfinished_path(target), []
    new.mkdir()
    try:
        for file in segments_of(folder):
            if file in damaged:
                reports.append(_salvaged(file, new / file.name, on_salvage))
                continue
            for suffix in ("", "-wal"):
                if Path(f"{file}{suffix}").exists():
                    shutil.copy2(f"{file}{suffix}", f"{new / file.name}{suffix}")
        if not any(new.iterdir()):
            raise RecordingDamaged(f"nothing in {folder} can be saved; look for an earlier copy")
        recover(new)
        remove(target)
        new.rename(target)
    except BaseException:
        remove(new)
        raise
    return tuple(reports)


def _salvaged(file: Path, target: Path, on_salvage: Callable[[int, int], None]) -> SalvageReport:
    """What is left of a segment, which may be nothing."""
    try:
        return salvage(file, target, on_progress=on_salvage)
    except RecordingDamaged:
        return SalvageReport(file, target, (), (f"nothing of {file.name} can be saved",))

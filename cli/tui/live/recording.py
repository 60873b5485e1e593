"""A recording that is made on the live screen."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from dimos_record import RecordReplay
from dimos_record.bus import Bus
from dimos_record.cli.tui.live.choice import Choice
from dimos_record.edit.writing import SaveReport
from dimos_record.record.options import RecordOptions
from dimos_record.record.progress import Progress

KEEP_S = 120.0
"""How much of the past is kept."""


class Account(NamedTuple):
    """How a recording stands, in figures."""

    name: str
    elapsed_s: float
    received: int
    written: int
    dropped: int
    lost: int | None
    """Messages lost before reception where senders tell, else packets; None if not known."""
    stored_bytes: int
    disk_free_bytes: int | None
    """None where that is not known."""
    buffer: float
    """How full the memory for messages that wait for the disk is, 0 to 1."""
    paused: bool

    @property
    def is_lossy(self) -> bool:
        """Whether anything is known to be missing."""
        return bool(self.dropped or self.lost)


class LiveRecording:
    """Records chosen topics of a bus that is open into a file. All its methods may block."""

    def __init__(self, path: Path, bus: Bus) -> None:
        self.path = path
        self._options = RecordOptions()
        self._rec = RecordReplay(path, bus=bus)

    def start(self, choice: Choice) -> None:
        """Begin.

        Raises:
            DimosRecordError: nothing was changed.
        """
        self._rec.add_topic(*choice.include)
        if choice.exclude:
            self._rec.remove_topic(*choice.exclude)
        self._rec.start_recording()

    def add(self, *patterns: str) -> None:
        """Record these topics, too."""
        self._rec.add_topic(*patterns)

    def remove(self, *patterns: str) -> None:
        """Do not record these topics any more."""
        self._rec.remove_topic(*patterns)

    def pause(self) -> bool:
        """Pause, or go on; returns whether it is paused now."""
        progress = self._rec.progress
        if progress is not None and progress.paused:
            self._rec.resume_recording()
            return False
        self._rec.pause_recording()
        return True

    def keep(self) -> SaveReport:
        """Write the last two minutes into a file beside the recording, which goes on.

        Raises:
            DimosRecordError: nothing was written.
        """
        return self._rec.keep(last_s=KEEP_S)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself: a full disk, an error."""
        return self._rec.wait_recording(0)

    def account(self) -> Account:
        """How it stands."""
        progress = self._rec.progress
        assert progress is not None  # it was started
        return account_of(self.path, progress, self._options.buffer_bytes)

    def stop(self) -> Progress:
        """Finish the file.

        Raises:
            DimosRecordError: writing failed; what was written before is safe.
        """
        try:
            self._rec.stop_recording()
        finally:
            self._rec.close()
        progress = self._rec.progress
        assert progress is not None  # it was started
        return progress


def account_of(path: Path, progress: Progress, buffer_bytes: int) -> Account:
    """The figures of a session."""
    total = progress.total
    return Account(
        name=path.name,
        elapsed_s=progress.elapsed_s,
        received=total.received,
        written=total.written,
        dropped=total.dropped,
        lost=progress.lost_on_the_way,
        stored_bytes=total.bytes,
        disk_free_bytes=_disk_free_bytes(path.parent),
        buffer=progress.waiting_bytes / buffer_bytes,
        paused=progress.paused,
    )


def _disk_free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # the folder has gone
        return None

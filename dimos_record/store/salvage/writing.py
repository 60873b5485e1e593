"""Writing what is left of a damaged recording into a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dimos_record.errors import OptionError, RecordingDamaged, RecordingExists
from dimos_record.store.salvage.messages import Found, Messages
from dimos_record.store.salvage.new_recording import NewRecording
from dimos_record.store.salvage.others import Others
from dimos_record.store.salvage.pages import Pages
from dimos_record.store.salvage.report import SalvageReport, StreamSalvage, gaps
from dimos_record.store.salvage.streams import Stream, find_streams
from dimos_record.store.salvage.trees import Trees
from dimos_record.store.unfinished import clean_up

OnProgress = Callable[[int, int], None]
"""(messages saved, messages in all by the account, 0 where that is lost); an exception that it
raises cancels."""

_TOLD = 64
"""Progress is told once in so many messages."""


def salvage(
    path: Path,
    target: Path,
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> SalvageReport:
    """Write every message of a damaged recording file that is left whole into a new one.

    Messages keep their number, place, times, pose, tags and bytes. The damaged file is not changed.

    Args:
        target: the new file, which has its name only when it is complete.
        overwrite: replace what is there under that name.

    Raises:
        RecordingExists: there is something.
        RecordingDamaged: nothing can be saved.
        RecordingBusy: somebody has the damaged file open.
        RecordingNotFound, StorageError, DiskFull
    """
    if target.resolve() == path.resolve():
        raise OptionError(f"{path} cannot be written into itself; choose another name")
    if target.is_dir() or (os.path.lexists(target) and not overwrite):
        raise RecordingExists(
            f"{target} exists already; replace it with --overwrite, or choose another name"
        )
    clean_up(target)
    with Pages.of(path) as pages:
        salvaging = _Salvaging(path, pages, on_progress or (lambda done, total: None))
        with NewRecording(target) as new:
            report = salvaging.write(new)
            if not report.streams:
                raise RecordingDamaged(
                    f"{path} is so damaged that no stream of a recording can be found in it; "
                    "copy it again from where it came from"
                )
            new.finish()
    return report


class _Salvaging:
    def __init__(self, path: Path, pages: Pages, on_progress: OnProgress) -> None:
        self._path = path
        trees = Trees(pages)
        self._pages = pages
        self._whole_list = trees.list_is_whole
        self._streams = find_streams(trees)
        self._others = Others(trees)
        self._messages = Messages(trees, self._streams)
        self._times: dict[str, dict[int, int]] = {s.info.name: {} for s in self._streams}
        self._unproven = dict.fromkeys(self._times, 0)
        self._on_progress = on_progress
        self._done, self._total = 0, sum(self._others.written().values())

    def write(self, new: NewRecording) -> SalvageReport:
        """Write all of it; the report says what was saved and what is missing."""
        topics = {s.topic: new.add_stream(s) for s in self._streams}
        numbers = {old: number for old, number in topics.items() if old is not None}
        self._add_all(new)
        if self._pages.log.unproven:
            self._messages.look_again(Trees(self._pages.with_unproven()))
            self._add_all(new)
        times = [time for known in self._times.values() for time in known.values()]
        new.complete(self._others, numbers, max(times, default=0))
        written = self._others.written()
        streams = tuple(self._report(stream, written) for stream in self._streams)
        lost = list(self._others.lost)
        if not self._whole_list and any(stream.in_account is None for stream in streams):
            lost.append("the list of its tables is lost, so that nobody knows all that it had")
        if self._others.was_killed and self._pages.log_is_missing:
            lost.append(f"its log, {self._path.name}-wal, is missing, and what is only in there")
        return SalvageReport(self._path, new.target, streams, tuple(lost))

    def _add_all(self, new: NewRecording) -> None:
        for stream in self._streams:
            for found in self._messages.of_stream(stream):
                self._add(new, found)
        for found in self._messages.spooled():
            self._add(new, found)
        for found in self._messages.rest():
            self._add(new, found)

    def _add(self, new: NewRecording, found: Found) -> None:
        name = found.stream.info.name
        self._times[name][found.row.id] = found.row.ts_ns
        self._unproven[name] += found.row.crc is None
        new.add(found)
        self._done += 1
        if self._done % _TOLD == 0:
            self._on_progress(self._done, self._total)

    def _report(self, stream: Stream, written: dict[int, int]) -> StreamSalvage:
        info = stream.info
        saved, seen = self._times[info.name], self._messages.seen[info.name]
        account = written.get(stream.topic) if stream.topic is not None else None
        first, last = self._extent(info.name, saved, seen, account)
        return StreamSalvage(
            info.name,
            info.topic,
            info.type_name,
            len(saved),
            self._unproven[info.name],
            gaps({n: t for n, t in saved.items() if n >= first}, seen, first, last),
            account,
            min(saved.values(), default=None),
            stream.guessed,
        )

    def _extent(
        self, name: str, saved: dict[int, int], seen: dict[int, int | None], account: int | None
    ) -> tuple[int, int]:
        """The numbers that the stream had, from the first to the last.

        A segment goes on where the one before ended; what it has of that one are only copies.
        """
        carried = 0
        with suppress(TypeError, ValueError):
            carried = int(self._others.carried.get(name, 0))
        known = [number for number in (*saved, *seen) if number > carried]
        first, last = min(known, default=carried + 1), max(known, default=carried)
        if account is not None and last - first + 1 < account:
            # which end is missing nobody knows but in the first segment, which begins with 1
            first = max(carried + 1, last - account + 1) if carried else 1
            last = max(last, first + account - 1)
        return first, last

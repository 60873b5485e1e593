"""A data set of many recordings: Parquet tables in folders named for the day, the robot and so on.

The layout is the one that Hive began and DuckDB, Dask, Spark and pyarrow read:
`fleet/stream=odom/day=2026-11-20/robot=r1/walk.parquet`. What stands in the names of the folders
are columns of the table. Streams have columns of their own, so a query reads one `stream=...`.
"""

from __future__ import annotations

import fcntl
import glob
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dimos_record.errors import OptionError, RecordingExists, StorageError
from dimos_record.interop.exporting import ExportReport, OnProgress, export
from dimos_record.interop.files import naming, writing
from dimos_record.interop.parquet import ParquetFile, ParquetWriter
from dimos_record.interop.tables import PARTITION_KEYS, Place, Table
from dimos_record.store.base import Row, SessionInfo
from dimos_record.store.unfinished import clean_up, remove, unfinished_path

if TYPE_CHECKING:
    from dimos_record.replay.view import ReplayView

UNKNOWN = "unknown"
"""The robot of a recording that does not know where it was made."""
_HOUR_NS = 3_600_000_000_000


def add_to_data_set(
    view: ReplayView,
    out: str | os.PathLike[str],
    by: str | Sequence[str] = ("day", "robot"),
    *,
    robot: str | None = None,
    raw: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Add the messages of a recording to a data set, one file per stream and partition.

    The files are called like the recording. They are all there or, when something goes wrong or
    `on_progress` raises, none of them is; other recordings in the data set are never touched.

    Args:
        view: what is added.
        out: the folder of the data set, which is created if it is not there.
        by: what the folders are named for, from the outside in: `day` and `hour` (of reception, in
            UTC), `robot`, `recording`, `stream`; `stream` comes first where it is not named.
        robot: what the robot is called; None is the host that has recorded.
        raw: see `ParquetWriter`.
        overwrite: replace what the data set has of this recording in the selected streams.
        on_progress: see `export`.

    Raises:
        OptionError: there is no such key, the data set has others, or `robot` is none of them.
        RecordingExists: the data set has a recording of this name and robot, and `overwrite` is
            not set; or the folder is no data set.
        Others: see `export`.
    """
    keys = check_keys(by)
    if robot is not None and "robot" not in keys:
        raise OptionError(
            f"the robot {robot!r} has no place in {','.join(keys)}; add robot to the keys, or "
            "leave it out"
        )
    out = Path(out).expanduser()
    if not out.name or not out.parent.is_dir():
        raise StorageError(f"there is no folder {out.parent}; create it first")
    _check_data_set(out, keys)
    names = _Naming(view, keys, robot)
    names.replaced_in(out, overwrite)
    with _staging_folder(out) as staging:
        report = export(
            view,
            staging / "new",
            lambda path: _PartitionedWriter(path, names, raw=raw),
            format="parquet",
            on_progress=on_progress,
        )
        with writing(out), _alone_in(out.parent):  # another may have added it meanwhile
            _put(staging, names.replaced_in(out, overwrite), out)
    return replace(report, path=out)


def check_keys(by: str | Iterable[str]) -> tuple[str, ...]:
    """The keys of a data set in order: of `day,robot` it is stream, day, robot.

    Raises:
        OptionError: there is no such key, or one is there twice.
    """
    names = by.split(",") if isinstance(by, str) else by
    keys = [name.strip() for name in names]
    for key in keys:
        if key not in PARTITION_KEYS:
            raise OptionError(
                f"nothing can be partitioned by {key!r}; there are {', '.join(PARTITION_KEYS)}"
            )
    if len(set(keys)) < len(keys):
        raise OptionError(f"a key of {','.join(keys)} is there twice; name each once")
    return tuple(keys) if "stream" in keys else ("stream", *keys)


def _check_data_set(out: Path, keys: Sequence[str]) -> None:
    """Refuse a folder that is something else than a data set with these keys."""
    folder = out
    for key in keys:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise RecordingExists(f"{folder} is a file and no data set; choose another name")
        visible = sorted(one for one in folder.iterdir() if one.name[0] not in "._")
        other = next((one for one in visible if not one.name.startswith(f"{key}=")), None)
        if other is not None and "=" in other.name:
            raise OptionError(
                f"{out} is partitioned by other keys than {','.join(keys)}: it has "
                f"{other.relative_to(out)}; use the same keys, or another folder"
            )
        if other is not None:
            raise RecordingExists(
                f"{out} is a folder with other things in it, such as {other.name}; choose another"
            )
        if not visible:
            return
        folder = visible[0]


class _Naming:
    """The names of the folders and files of one recording."""

    def __init__(self, view: ReplayView, keys: tuple[str, ...], robot: str | None) -> None:
        name = Path(view.name).name
        self.recording = name.removesuffix(".db")
        self._keys, self._streams = keys, [info.name for info in view.streams]
        # an imported session may have been before those that were there
        sessions = sorted(view.recording.reader.sessions(), key=lambda one: one.start_ns)
        self._starts_ns = [one.start_ns for one in sessions]
        self._robots = [robot or _host(one) for one in sessions] or [robot or UNKNOWN]
        self._place = lru_cache(maxsize=1024)(self._make_place)

    def place_of(self, row: Row) -> Place:
        """Where a message belongs: `stream=odom/day=2026-11-20/robot=r1/walk`, in its day."""
        session = max(bisect_right(self._starts_ns, row.ts_ns) - 1, 0)
        return self._place(row.stream.name, row.ts_ns // _HOUR_NS, self._robots[session])

    def _make_place(self, stream: str, hour: int, robot: str) -> Place:
        time = datetime.fromtimestamp(hour * 3600, timezone.utc)
        values = {
            "stream": stream,
            "day": time.strftime("%Y-%m-%d"),
            "hour": time.strftime("%H"),
            "robot": robot,
            "recording": self.recording,
        }
        folders = [f"{key}={quote(values[key], safe=' ')}" for key in self._keys]
        period = hour if "hour" in self._keys else hour // 24 if "day" in self._keys else 0
        return Place("/".join([*folders, _file_name(self.recording)]), period)

    def files_in(self, out: Path) -> list[Path]:
        """What a data set has of this recording, of whatever day."""
        return sorted(
            path
            for stream in self._streams
            for robot in set(self._robots)
            for path in self._glob(out, stream, robot)
        )

    def replaced_in(self, out: Path, overwrite: bool) -> list[Path]:
        """What has to go before this recording is added.

        Raises:
            RecordingExists: there is something, and it is not to be replaced.
        """
        there = self.files_in(out)
        if there and not overwrite:
            raise RecordingExists(
                f"{self.recording} is in {out} already, as {there[0].relative_to(out)}; replace it "
                "with --overwrite, or rename the recording"
            )
        return there

    def _glob(self, out: Path, stream: str, robot: str) -> Iterator[Path]:
        parts = self._make_place(stream, 0, robot).name.split("/")
        any_time = [
            f"{key}=*" if key in ("day", "hour") else glob.escape(part)
            for key, part in zip(self._keys, parts, strict=False)
        ]
        return out.glob("/".join([*any_time, f"{glob.escape(parts[-1])}.parquet"]))


def _file_name(recording: str) -> str:
    """A name that Spark and pyarrow do not pass over, as they do where one begins with . or _"""
    name = quote(recording, safe=" ")
    return f"%{ord(name[0]):02X}{name[1:]}" if name[0] in "._" else name


def _host(session: SessionInfo) -> str:
    return str(session.meta.get("host") or UNKNOWN)


class _PartitionedWriter(ParquetWriter):
    """Writes the files of one recording into a folder of their own, laid out as in the data set."""

    types_divide = False  # a recording has one file per stream and partition, which is replaced

    def __init__(self, path: Path, names: _Naming, *, raw: bool) -> None:
        super().__init__(path, raw=raw)
        self._naming = names

    def place_of(self, row: Row) -> Place:
        return self._naming.place_of(row)

    def open_table(self, path: Path, table: Table) -> ParquetFile:
        path.parent.mkdir(parents=True, exist_ok=True)
        return super().open_table(path, table)


@contextmanager
def _staging_folder(out: Path) -> Iterator[Path]:
    """A folder beside the data set, for the time in which files are written.

    It is held open, so that another process that adds something does not take it for left over.
    """
    staging = unfinished_path(out)
    with ExitStack() as stack:
        with writing(out), _alone_in(out.parent):
            clean_up(out)
            staging.mkdir()
            stack.callback(remove, staging)
            stack.callback(os.close, os.open(staging, os.O_RDONLY))
        with naming(out, staging / "new"):
            yield staging


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep others that add to a data set in a folder from making or clearing up theirs meanwhile.

    A process uses the same name again and again; what is left over must not be told from what has
    just been made by a look that is a moment old.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _put(staging: Path, there: Sequence[Path], out: Path) -> None:
    """Move the files of a recording into the data set, in the place of what it has of it."""
    new, old = staging / "new", staging / "old"
    moved: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        moved.append((source, target))

    try:
        for path in there:
            move(path, old / path.relative_to(out))
        for path in sorted(new.rglob("*.parquet")):
            move(path, out / path.relative_to(new))
    except BaseException:
        for source, target in reversed(moved):
            target.rename(source)
        raise

"""Every format that can be imported or exported, in one table for the API, the CLI and the docs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dimos_record.errors import NotARecording, OptionError, RecordingNotFound, StorageError
from dimos_record.interop.exporting import ExportReport, ExportWriter, OnProgress, export
from dimos_record.interop.importing import ImportSource
from dimos_record.store.open_segments import segments_of

if TYPE_CHECKING:
    from dimos_record.replay.view import ReplayView

_HEAD_BYTES = 64
_SQLITE = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Format:
    """One format. Its classes are imported when they are needed."""

    name: str
    """`mcap`"""
    title: str
    """What it is, for people."""
    suffixes: tuple[str, ...]
    """Of its files; the first is that of files in a folder, too."""
    writer: str | None = None
    """`module:class` of its `ExportWriter`, in this package; None: it cannot be exported."""
    source: str | None = None
    """`module:class` of its `ImportSource`; None: it cannot be imported."""
    starts_with: tuple[bytes, ...] = ()
    """How its files begin."""
    with_state: bool = False
    """Whether an export of a section begins with what latched topics said before it."""

    def writer_class(self) -> Callable[..., ExportWriter]:
        """What writes it.

        Raises:
            OptionError: nothing does.
        """
        if self.writer is None:
            raise OptionError(
                f"{self.name} can only be imported; export to one of: {listed(EXPORTED)}"
            )
        made: Callable[..., ExportWriter] = _load(self.writer)
        return made

    def source_class(self) -> Callable[[Path], ImportSource]:
        """What reads it.

        Raises:
            OptionError: nothing does.
        """
        if self.source is None:
            raise OptionError(
                f"{self.name} can only be exported; what can be imported is: {listed(IMPORTED)}"
            )
        opened: Callable[[Path], ImportSource] = _load(self.source)
        return opened

    @property
    def import_unit(self) -> str:
        """What the progress of an import counts: `messages` or `bytes`.

        Raises:
            OptionError: it cannot be imported.
        """
        unit: str = vars(self.source_class())["unit"]
        return unit

    def make_writer(self, options: dict[str, Any]) -> Callable[[Path], ExportWriter]:
        """What makes a writer with these options for a path.

        Raises:
            OptionError: the format has no such option.
        """
        made = self.writer_class()
        known = [
            name
            for name, parameter in inspect.signature(made).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        for name in options:
            if name not in known:
                there = f"it has {', '.join(known)}" if known else "it has none"
                raise OptionError(f"{self.name} has no option {name!r}; {there}")
        return lambda path: made(path, **options)


FORMATS = (
    Format(
        "mcap",
        "MCAP files with ROS 2 messages",
        (".mcap",),
        writer="mcap_writer:McapWriter",
        source="mcap:McapImport",
        starts_with=(b"\x89MCAP0\r\n",),
        with_state=True,
    ),
    Format(
        "lcm",
        "LCM event logs",
        (".lcm", ".log", ".lcmlog"),
        writer="lcm_log:LcmLogWriter",
        source="lcm_log:LcmLogImport",
        starts_with=(b"\xed\xa1\xda\x01",),
        with_state=True,
    ),
    Format(
        "bag",
        "ROS 1 bags, and the folders that ROS 2 records into",
        (".bag", ".db3"),
        source="rosbag:BagImport",
        starts_with=(b"#ROSBAG V2.0",),
    ),
    Format(
        "parquet",
        "Parquet, one table per topic",
        (".parquet",),
        writer="parquet:ParquetWriter",
        source="parquet:ParquetImport",
        starts_with=(b"PAR1",),
    ),
    Format("csv", "CSV, one table per topic", (".csv",), writer="csv_tables:CsvWriter"),
    Format(
        "rrd",
        "Rerun recordings",
        (".rrd",),
        writer="rrd:RrdWriter",
        with_state=True,
    ),
)
EXPORTED = tuple(one for one in FORMATS if one.writer is not None)
IMPORTED = tuple(one for one in FORMATS if one.source is not None)


def listed(formats: tuple[Format, ...]) -> str:
    """`mcap, lcm, csv`"""
    return ", ".join(one.name for one in formats)


def find(name: str) -> Format:
    """The format of a name.

    Raises:
        OptionError: there is none.
    """
    for one in FORMATS:
        if one.name == name:
            return one
    raise OptionError(f"there is no format {name!r}; there are {listed(FORMATS)}")


def format_for(name: str | os.PathLike[str]) -> Format:
    """The format that the name of a file to be written tells.

    Raises:
        OptionError: it tells none.
    """
    suffix = Path(name).suffix.lower()
    for one in EXPORTED:
        if suffix in one.suffixes:
            return one
    raise OptionError(
        f"{os.fspath(name)!r} does not tell the format; name one of: {listed(EXPORTED)}"
    )


def export_view(
    view: ReplayView,
    name: str | os.PathLike[str],
    format: str | None,
    options: dict[str, Any],
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Write a view into a file of a format; see `RecordReplay.export`."""
    chosen = format_for(name) if format is None else find(format)
    return export(
        view,
        name,
        chosen.make_writer(options),
        format=chosen.name,
        suffix=chosen.suffixes[0],
        with_state=chosen.with_state,
        overwrite=overwrite,
        on_progress=on_progress,
    )


def open_source(path: Path, format: str | None = None) -> tuple[str, ImportSource]:
    """Open a file of another tool; the name of its format, and its messages.

    Args:
        format: what it is, where its content is not to be asked.

    Raises:
        RecordingNotFound: there is no such file.
        NotARecording: it is of no format that can be imported, or a pipe.
        Others: see `ImportSource`.
    """
    _refuse_if_no_file(path)
    found = recognise(path) if format is None else find(format)
    return found.name, found.source_class()(path)


def recognise(path: Path) -> Format:
    """The format of a file or folder by its content, and where that is damaged by its name.

    Raises:
        RecordingNotFound, StorageError: it cannot be read.
        NotARecording: it is of no format that can be imported, or a pipe.
    """
    _refuse_if_no_file(path)
    if path.is_dir():
        return _recognise_folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    for one in IMPORTED:
        if any(head.startswith(start) for start in one.starts_with):
            return one
    for one in IMPORTED:
        if path.suffix.lower() in one.suffixes:
            return one
    if head.startswith(_SQLITE):
        raise NotARecording(
            f"{path} is an SQLite file: a recording needs no import (see: dimos-record info), and "
            "of a ROS 2 bag the folder is imported"
        )
    what = "is of no format that can be imported" if head else "is empty"
    raise NotARecording(f"{path} {what}; these can be: {listed(IMPORTED)}")


def _refuse_if_no_file(path: Path) -> None:
    if not path.exists():
        raise RecordingNotFound(f"there is no file {path}")
    if not (path.is_file() or path.is_dir()):
        raise NotARecording(
            f"{path} is no file but a device or pipe; write what comes out of it to a file, and "
            "import that"
        )


def _recognise_folder(path: Path) -> Format:
    if (path / "metadata.yaml").is_file():
        return find("bag")
    if any(path.rglob("*.parquet")):
        return find("parquet")
    if any(_is_sqlite(file) for file in segments_of(path)):
        raise NotARecording(
            f"{path} is a folder of SQLite files: a recording needs no import, in segments or not "
            "(see: dimos-record info)"
        )
    raise NotARecording(
        f"{path} is a folder without metadata.yaml (a ROS 2 bag) and without Parquet files; "
        "name the file to import"
    )


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"dimos_record.interop.{module}"), name)

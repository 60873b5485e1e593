"""`dimos-record markers`: the markers of a recording, as a table or as CSV."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.editing import DryRun, what_now
from dimos_record.cli.running import Json, say
from dimos_record.errors import OptionError, RecordingExists, RecordingNotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dimos_record.cli.times import Timescale
    from dimos_record.store.base import Marker

_STANDARD = "-"


def markers(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[export|import] FILE [CSV]",
            help="A recording: its markers are listed. export writes them to CSV, or to stdout; "
            "import reads them from there ('-' is stdin).",
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With export: replace the CSV file.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """List the markers of FILE, or exchange them with a spreadsheet.

    The columns are label, at_s (seconds from the start), until_s (for an interval), at_utc (a time
    of day) and data (JSON). What is imported needs a label, and at_s or at_utc; markers that FILE
    has already are left out. It is one edit, for `undo`: all of them, or none.

    Examples:

      dimos-record markers walk.db

      dimos-record markers export walk.db walk.csv

      dimos-record markers import walk.db walk.csv
    """
    action = words[0] if words[0] in ("export", "import") else "list"
    names = words if action == "list" else words[1:]
    most = {"list": 1, "export": 2, "import": 2}[action]
    if not names or len(names) > most or (action == "import" and len(names) != most):
        raise OptionError(
            "write: markers FILE, markers export FILE [CSV], or markers import FILE CSV"
        )
    if dry_run and action != "import":
        raise OptionError("--dry-run is for import; listing and exporting change no recording")
    if overwrite and action != "export":
        raise OptionError("--overwrite is for export; nothing else writes a CSV file")
    if as_json and action != "list":
        raise OptionError("--json is for the list of markers; export and import are CSV")
    if action == "list":
        _list(names[0], as_json)
    elif action == "export":
        _export(names[0], names[1] if len(names) > 1 else _STANDARD, overwrite)
    else:
        _import(names[0], names[1], dry_run)


def _list(file: str, as_json: bool) -> None:
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.cli.times import Timescale

    with RecordReplay(file) as rec:
        scale, name = Timescale.of(rec.reader), rec.store.name
    if as_json:
        print_json(as_json_list(scale.markers, scale))
    elif scale.markers:
        _print(scale)
    else:
        say(f"{name} has no markers; add one with: dimos-record mark {file} AT LABEL")


def as_json_list(found: Sequence[Marker], scale: Timescale) -> list[dict[str, Any]]:
    """Markers under names that stay."""
    return [
        {
            "label": one.label,
            "at_s": scale.position(one.at_ns),
            "until_s": None if one.until_ns is None else scale.position(one.until_ns),
            "at_ns": one.at_ns,
            "until_ns": one.until_ns,
            "data": one.data,
        }
        for one in found
    ]


def _print(scale: Timescale) -> None:
    import json

    from dimos_record.cli.tables import plain_table, show
    from dimos_record.cli.text import moment, printable
    from dimos_record.cli.times import where

    table = plain_table()
    for header in ("at", "marker", "time of day", "data"):
        table.add_column(header, overflow="fold", no_wrap=header in ("at", "time of day"))
    for one in scale.markers:
        data = "" if one.data is None else json.dumps(one.data, ensure_ascii=False)
        table.add_row(where(one, scale), printable(one.label), moment(one.at_ns), printable(data))
    show(table)


def _export(file: str, csv_file: str, overwrite: bool) -> None:
    from dimos_record import RecordReplay
    from dimos_record.cli.markers_csv import write_csv
    from dimos_record.cli.times import Timescale

    if csv_file != _STANDARD and os.path.exists(csv_file) and not overwrite:
        raise RecordingExists(
            f"{csv_file} exists already; replace it with --overwrite, or choose another name"
        )
    with RecordReplay(file) as rec:
        scale, name = Timescale.of(rec.reader), rec.store.name
    with _opened(csv_file, "w") as out:
        write_csv(out, scale.markers, scale)
    where = "" if csv_file == _STANDARD else f" to {csv_file}"
    say(f"{name}: {_counted(len(scale.markers))} written{where}")


def _import(file: str, csv_file: str, dry_run: bool) -> None:
    from dimos_record import RecordReplay
    from dimos_record.cli.markers_csv import read_csv
    from dimos_record.cli.times import Timescale

    with RecordReplay(file) as rec:
        scale, name = Timescale.of(rec.reader), rec.store.name
        source = "stdin" if csv_file == _STANDARD else csv_file
        with _opened(csv_file, "r") as text:
            found = read_csv(text, source, scale)
        there = {_key(one) for one in scale.markers}
        new = [one for one in found if _key(one) not in there]
        known = f", {len(found) - len(new):,} were there already" if len(new) < len(found) else ""
        if dry_run:
            print(f"{name}: would add {_counted(len(new))}{known}; nothing was changed")
        elif new:
            rec.add_markers(_in_seconds(new, scale))
            say(f"{name}: {_counted(len(new))} added{known}; {what_now(file)}")
        else:
            say(f"{name}: no marker added{known}")


def _key(marker: Marker) -> tuple[int, str, int | None]:
    return marker.at_ns, marker.label, marker.until_ns


def _in_seconds(
    found: Sequence[Marker], scale: Timescale
) -> Iterator[tuple[float, str, float | None, Any]]:
    for one in found:
        until_s = None if one.until_ns is None else scale.position(one.until_ns)
        yield scale.position(one.at_ns), one.label, until_s, one.data


def _opened(csv_file: str, mode: str) -> AbstractContextManager[IO[str]]:
    """A CSV file, or standard input or output.

    Raises:
        RecordingNotFound: there is none.
        StorageError: it cannot be opened.
    """
    if csv_file == _STANDARD:
        return nullcontext(sys.stdin if mode == "r" else sys.stdout)
    encoding = "utf-8-sig" if mode == "r" else "utf-8"  # spreadsheets begin a file with a mark
    try:
        return open(csv_file, mode, encoding=encoding, newline="")
    except FileNotFoundError:
        if mode == "r":
            raise RecordingNotFound(f"there is no file {csv_file}") from None
        raise StorageError(f"{csv_file}: its folder does not exist; create it first") from None
    except OSError as error:
        raise StorageError(f"{csv_file}: {error.strerror}; choose another file") from None


def _counted(count: int) -> str:
    return "1 marker" if count == 1 else f"{count:,} markers"

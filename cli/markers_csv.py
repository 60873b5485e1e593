"""Markers as CSV, for spreadsheets and other programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any

from dimos_record.cli.editing import parse_json
from dimos_record.cli.wall_clock import is_wall_clock, parse_wall_clock
from dimos_record.errors import EditError, OptionError

if TYPE_CHECKING:
    from dimos_record.cli.times import Timescale
    from dimos_record.store.base import Marker

COLUMNS = ("label", "at_s", "until_s", "at_utc", "data")
_S = 1_000_000_000
_MOST_S = 4.6e9
"""Until 2115: no recording holds what is later."""
_SAME_NS = 1_000_000
"""How far at_s and at_utc may be apart: a spreadsheet rounds."""


def write_csv(out: IO[str], markers: Iterable[Marker], scale: Timescale) -> None:
    """Write markers, one line each, under a line with the names of the columns."""
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in markers:
        until = "" if one.until_ns is None else _seconds(scale.position(one.until_ns))
        data = "" if one.data is None else json.dumps(one.data, ensure_ascii=False)
        at_s = _seconds(scale.position(one.at_ns))
        table.writerow((one.label, at_s, until, _utc(one.at_ns), data))


def read_csv(text: IO[str], source: str, scale: Timescale) -> list[Marker]:
    """The markers of a CSV file, all of them with id 0.

    Args:
        text: the file.
        source: what messages call it.
        scale: that of the recording they are for.

    Raises:
        EditError: it is no such file; the message names the line.
    """
    try:
        table = csv.DictReader(text, strict=True)
        names = [name.strip() for name in table.fieldnames or ()]
        _check_columns(names, source)
        table.fieldnames = names
        return [
            _marker(row, f"{source}, line {table.line_num}", scale)
            for row in table
            if any(isinstance(cell, str) and cell.strip() for cell in row.values())
        ]
    except csv.Error as error:
        raise EditError(f"{source}, line {table.line_num}: {error}; write it as CSV") from None
    except UnicodeDecodeError:
        raise EditError(f"{source} is no text in UTF-8; write it as CSV in UTF-8") from None


def _check_columns(names: list[str], source: str) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or "label" not in names or not {"at_s", "at_utc"} & set(names):
        raise EditError(
            f"{source}: its first line has to name the columns label, at_s or at_utc, and as you "
            f"like until_s and data; it has {', '.join(map(repr, names)) or 'none'}"
        )


def _marker(row: Mapping[str | None, Any], where: str, scale: Timescale) -> Marker:
    from dimos_record.store.base import Marker

    if None in row or None in row.values():
        raise EditError(f"{where}: it has more or fewer values than there are columns")
    cells = {name: str(row.get(name, "")).strip() for name in COLUMNS}
    if not cells["label"]:
        raise EditError(f"{where}: it has no label")
    at_ns = _at_ns(cells, where, scale)
    until_ns = _position_ns(cells["until_s"], "until_s", where, scale) if cells["until_s"] else None
    if until_ns is not None and until_ns <= at_ns:
        raise EditError(f"{where}: until_s {cells['until_s']} is not after the marker begins")
    return Marker(0, at_ns, cells["label"], until_ns, _data(cells["data"], where))


def _at_ns(cells: Mapping[str, str], where: str, scale: Timescale) -> int:
    by_position = _position_ns(cells["at_s"], "at_s", where, scale) if cells["at_s"] else None
    by_day = _utc_ns(cells["at_utc"], where) if cells["at_utc"] else None
    if by_position is None and by_day is None:
        raise EditError(f"{where}: it has neither at_s nor at_utc")
    if by_position is None or by_day is None:
        return by_day if by_position is None else by_position  # type: ignore[return-value]
    if abs(by_position - by_day) > _SAME_NS:
        raise EditError(
            f"{where}: at_s {cells['at_s']} and at_utc {cells['at_utc']} are different moments of "
            f"{scale.name}; leave one of them empty"
        )
    return by_position


def _position_ns(cell: str, column: str, where: str, scale: Timescale) -> int:
    try:
        position_s = float(cell)
    except ValueError:
        position_s = math.nan
    if abs(position_s) < _MOST_S:
        time_ns = (scale.origin_ns or 0) + round(position_s * _S)
        if abs(time_ns) < _MOST_S * _S:
            return time_ns
    raise EditError(f"{where}: {column} {cell!r} is no number of seconds")


def _utc_ns(cell: str, where: str) -> int:
    zone = "" if cell[-1:] in "zZ" or cell[-6:-5] in ("+", "-") else "Z"
    try:
        if is_wall_clock(cell):
            time_ns = parse_wall_clock(f"{cell}{zone}", "at_utc")
            if abs(time_ns) < _MOST_S * _S:
                return time_ns
    except OptionError:
        pass  # there is no such day; or it is centuries away
    raise EditError(f"{where}: at_utc {cell!r} is no time of day; write 2026-11-20T14:03:05.123Z")


def _data(cell: str, where: str) -> Any:
    try:
        return parse_json(cell) if cell else None
    except ValueError as error:
        raise EditError(f"{where}: data {cell!r} is no JSON: {error}") from None


def _seconds(position_s: float) -> str:
    """To the nanosecond, without zeros at the end: 12.5"""
    return f"{position_s:.9f}".rstrip("0").rstrip(".")


def _utc(time_ns: int) -> str:
    """`2026-11-20T14:03:05.123456789Z`"""
    day = datetime.fromtimestamp(time_ns // _S, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{day}.{time_ns % _S:09d}Z"

"""Export to CSV: a text file per stream, the names of the columns in its first line.

UTF-8, a comma between values, lines that end with `\\n`, values quoted where they must be. Numbers
are written such that the same number is read again; times as ISO 8601 with nine digits, in UTC. A
list is a JSON array in one cell (with `NaN` and `Infinity`); what is missing is empty.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from dimos_record.interop.exporting import About
from dimos_record.interop.tables import Cells, Table, TableColumn, TablesWriter


class CsvWriter(TablesWriter):
    """Writes a folder of CSV files, or one file; see `TablesWriter`."""

    suffix = ".csv"

    def __init__(self, path: Path) -> None:
        super().__init__(path)

    def begin(self, about: About) -> None:
        """Create the folder, or the file; see `TablesWriter.begin`."""
        super().begin(about)
        if about.markers:
            what = "markers (write them with: dimos-record markers export)"
            self._losses.note("", what, len(about.markers))

    def open_table(self, path: Path, table: Table) -> CsvFile:
        """Create the file of a table, with its first line."""
        return CsvFile(path, table)


class CsvFile:
    """One CSV file that is being written."""

    def __init__(self, path: Path, table: Table) -> None:
        self._columns = table.columns
        self._file = path.open("x", encoding="utf-8", newline="")
        # before Python 3.13 a `\r` in a value is only quoted if it may end a line
        self._write = csv.writer(_Lines(self._file), lineterminator="\r\n")
        self._write.writerow(column.name for column in self._columns)

    def append(self, cells: Sequence[Cells], count: int) -> None:
        """Add lines."""
        columns = [_texts(*pair) for pair in zip(self._columns, cells, strict=True)]
        self._write.writerows(zip(*columns, strict=True))

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class _Lines:
    """Writes the lines of csv with another end."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(f"{line[:-2]}\n")


def _texts(column: TableColumn, cells: Cells) -> list[Any]:
    """What the cells are as text; numbers as they are, which csv writes exactly."""
    if column.kind == "time":
        times = np.datetime_as_string(cells.values.astype("datetime64[ns]"), timezone="UTC")
        texts: list[Any] = times.tolist()
    elif cells.offsets is not None:
        items, ends = cells.values.tolist(), cells.offsets.tolist()
        texts = [json.dumps(items[a:b]) for a, b in pairwise(ends)]
    elif column.kind == "boolean":
        texts = ["true" if one else "false" for one in cells.values]
    else:
        texts = cells.values.tolist()
    if cells.missing is not None:
        texts = ["" if gone else text for text, gone in zip(texts, cells.missing, strict=True)]
    return texts

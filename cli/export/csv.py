"""`dimos-record export csv`: tables for spreadsheets."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite, Quiet, Topics
from dimos_record.cli.export.options import End, Exclude, How, Start, Strict, What, run_export
from dimos_record.cli.running import Json


def csv(
    file: File,
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="The folder to write; a file (odom.csv), if it is one topic."
        ),
    ],
    topics: Topics = None,
    exclude: Exclude = None,
    start: Start = None,
    end: End = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write CSV tables, one per topic.

    A message is a line: times of reception and of the header, number, pose, tags, then the fields
    of its type, one column each (`pose.position.x`). Numbers are exact. What no cell can hold, such
    as the pixels of an image, is left out and said.

    Examples:

      dimos-record export csv walk.db tables

      dimos-record export csv walk.db odom.csv -t /odom --start 1:05 --end +10
    """
    what = What(file, topics, exclude, start, end)
    how = How(overwrite, strict, quiet, as_json)
    run_export(what, out, "csv", how)

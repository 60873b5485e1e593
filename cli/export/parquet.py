"""`dimos-record export parquet`: tables for pandas, DuckDB and Spark."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite, Quiet, Topics
from dimos_record.cli.export.options import End, Exclude, How, Start, Strict, What, run_export
from dimos_record.cli.running import Json


def parquet(
    file: File,
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="The folder to write; a file (odom.parquet), if it is one topic."
        ),
    ],
    topics: Topics = None,
    exclude: Exclude = None,
    start: Start = None,
    end: End = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Add a column with the bytes of each message.")
    ] = False,
    overwrite: Overwrite = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write Parquet tables, one per topic.

    A message is a row: times of reception and of the header, number, pose, tags, then the fields of
    its type, one column each (`pose.position.x`). What is no table, such as the pixels of an image,
    is left out and said; --raw adds the bytes of each message, and then nothing is lost and the
    tables can be imported again.

    Examples:

      dimos-record export parquet walk.db tables

      dimos-record export parquet walk.db odom.parquet -t /odom --raw
    """
    what = What(file, topics, exclude, start, end)
    how = How(overwrite, strict, quiet, as_json)
    run_export(what, out, "parquet", how, raw=raw)

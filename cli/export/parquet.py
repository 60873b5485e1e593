"""`dimos-record export parquet`: tables for pandas, DuckDB and Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dimos_record.cli.editing import Overwrite, Quiet, Topics
from dimos_record.cli.export.data_set import add_recordings
from dimos_record.cli.export.options import End, Exclude, How, Start, Strict, What, run_export
from dimos_record.cli.running import Json
from dimos_record.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence


def parquet(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="A recording; with --partition-by there may be several."
        ),
    ],
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
    partition_by: Annotated[
        str | None,
        typer.Option(
            metavar="KEYS",
            help="Add the recordings to a data set, in folders named for day, hour, robot, "
            "recording, stream: day,robot",
        ),
    ] = None,
    robot: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --partition-by: what the robot is called, if not as the host was.",
        ),
    ] = None,
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

    With --partition-by the tables are added to a data set of many recordings, which DuckDB, Dask
    and Spark read as it is; one that is in it already is only replaced with --overwrite.

    Examples:

      dimos-record export parquet walk.db tables

      dimos-record export parquet walk.db odom.parquet -t /odom --raw

      dimos-record export parquet r1/*.db fleet --partition-by day,robot --robot r1
    """
    how = How(overwrite, strict, quiet, as_json)
    wanted = [What(file, topics, exclude, start, end) for file in files]
    if partition_by is not None:
        add_recordings(wanted, out, how, by=partition_by, robot=robot, raw=raw)
    else:
        run_export(_only(wanted, robot), out, "parquet", how, raw=raw)


def _only(wanted: Sequence[What], robot: str | None) -> What:
    if robot is not None:
        raise OptionError("--robot names a folder of a data set; give --partition-by day,robot too")
    if len(wanted) > 1:
        raise OptionError(
            f"{len(wanted)} recordings make a data set; say how it is divided, for example with "
            "--partition-by day,robot"
        )
    return wanted[0]

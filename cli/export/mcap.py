"""`dimos-record export mcap`: a file for Foxglove, and for the tools of MCAP and ROS 2."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite, Quiet, Topics
from dimos_record.cli.export.options import End, Exclude, How, Start, Strict, What, run_export
from dimos_record.cli.running import Json


def mcap(
    file: File,
    out: Annotated[str, typer.Argument(metavar="OUT", help="The file to write: walk.mcap")],
    topics: Topics = None,
    exclude: Exclude = None,
    start: Start = None,
    end: End = None,
    encoding: Annotated[
        str, typer.Option(metavar="ros2|lcm", help="How messages are written.")
    ] = "ros2",
    compression: Annotated[
        str, typer.Option(metavar="zstd|lz4|none", help="How the file is compressed.")
    ] = "zstd",
    overwrite: Overwrite = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write an MCAP file.

    Types that ROS 2 has are written as ROS 2 messages with their definitions, so that Foxglove and
    `ros2 bag` show them; others, and all with --encoding lcm, as their LCM bytes. Both are imported
    again. A section begins with what maps, camera infos and static transforms said before.

    Examples:

      dimos-record export mcap walk.db walk.mcap

      dimos-record export mcap walk.db exact.mcap --encoding lcm --compression none
    """
    what = What(file, topics, exclude, start, end)
    how = How(overwrite, strict, quiet, as_json)
    run_export(what, out, "mcap", how, encoding=encoding, compression=compression)

"""`dimos-record export rrd`: a file for the Rerun viewer."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite, Quiet, Topics
from dimos_record.cli.export.options import End, Exclude, How, Start, Strict, What, run_export
from dimos_record.cli.running import Json
from dimos_record.cli.view import MaxRate, Preset


def rrd(
    file: File,
    out: Annotated[str, typer.Argument(metavar="OUT", help="The file to write: walk.rrd")],
    topics: Topics = None,
    exclude: Exclude = None,
    start: Start = None,
    end: End = None,
    preset: Preset = "follow",
    max_rate: MaxRate = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a Rerun recording.

    `rerun walk.rrd` shows it as `dimos-record view` shows FILE. Messages of types that nobody can
    show are left out and said.

    Examples:

      dimos-record export rrd walk.db walk.rrd

      dimos-record export rrd walk.db fall.rrd --start fall --end +10 --preset top
    """
    what = What(file, topics, exclude, start, end)
    how = How(overwrite, strict, quiet, as_json)
    run_export(what, out, "rrd", how, preset=preset, max_rate_hz=max_rate)

"""`dimos-record export rrd`: a file for the Rerun viewer."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite, Quiet, Topics
from dimos_record.cli.export.options import Exclude, From, How, Strict, To, What, run_export
from dimos_record.cli.running import Json


def rrd(
    file: File,
    out: Annotated[str, typer.Argument(metavar="OUT", help="The file to write: walk.rrd")],
    topics: Topics = None,
    exclude: Exclude = None,
    start: From = None,
    end: To = None,
    preset: Annotated[
        str, typer.Option(metavar="follow|top|side|front", help="From where the 3D view looks.")
    ] = "follow",
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

      dimos-record export rrd walk.db fall.rrd --from fall --to +10 --preset top
    """
    what = What(file, topics, exclude, start, end)
    how = How(overwrite, strict, quiet, as_json)
    run_export(what, out, "rrd", how, preset=preset)

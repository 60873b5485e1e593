"""`dimos-record export lcm`: an event log that `lcm-logplayer` plays."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite, Quiet, Topics
from dimos_record.cli.export.options import End, Exclude, How, Start, Strict, What, run_export
from dimos_record.cli.running import Json


def lcm(
    file: File,
    out: Annotated[str, typer.Argument(metavar="OUT", help="The log to write: walk.lcm")],
    topics: Topics = None,
    exclude: Exclude = None,
    start: Start = None,
    end: End = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write an LCM event log.

    `lcm-logplayer` plays it, and every tool of LCM reads it: each message is on its channel as the
    bytes that it was. Times are microseconds there; what is below is lost. A section begins with
    what maps, camera infos and static transforms said before.

    Examples:

      dimos-record export lcm walk.db walk.lcm

      dimos-record export lcm walk.db fall.lcm --start fall --end +10 -t /odom
    """
    what = What(file, topics, exclude, start, end)
    how = How(overwrite, strict, quiet, as_json)
    run_export(what, out, "lcm", how)

"""`dimos-record merge`: several recordings as one."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dimos_record.cli.editing import Overwrite, Quiet
from dimos_record.cli.running import Json

_ALIGN: dict[str, Literal["time", "start", "end to end"]] = {
    "time": "time",
    "start": "start",
    "end-to-end": "end to end",
    "end to end": "end to end",
}


def merge(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The recording to write: both.db")],
    sources: Annotated[
        list[str], typer.Argument(metavar="IN", help="The recordings to put together.")
    ],
    align: Annotated[
        str,
        typer.Option(
            metavar="time|start|end-to-end",
            help="By the time of reception; all from the same start; one after the other.",
        ),
    ] = "time",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write several recordings as one.

    They stay as they are. Messages of a topic that several of them have become one stream.

    Examples:

      dimos-record merge both.db robot1.db robot2.db

      dimos-record merge day.db morning.db evening.db --align end-to-end
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.cli.writing import cancellable, save_as_json, say_written
    from dimos_record.errors import OptionError

    if align not in _ALIGN:
        raise OptionError(f"--align {align!r}: write time, start or end-to-end")
    doing, otherwise = f"Writing {out}", f"{out} was not written"
    with RecordReplay(out) as rec, cancellable(doing, otherwise, shown=not quiet) as progress:
        report = rec.merge(sources, align=_ALIGN[align], overwrite=overwrite, on_progress=progress)
    if as_json:
        print_json(save_as_json(report))
    say_written(report)

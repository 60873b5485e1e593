"""`dimos-record keep`: the past of a recording that goes on, as a file of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite, Quiet
from dimos_record.cli.running import Json

_LAST = "2m"


def keep(
    file: File,
    last: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"How much up to now: 30s, 10m; {_LAST} if not given."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Begin here instead: 1:23.5, @14:03:05, -30 (before the end)."
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="End here, written in the same way.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="OUT", help="The recording to write; FILE-DATE-TIME.db if not given."
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Keep the past: write the last minutes into a recording of their own.

    FILE is a ring or any other recording, which goes on meanwhile. Everything that was received
    until now is written, also what its recorder has not written yet, and nothing later; where
    nobody records, the last message counts as now. Maps, camera infos and static transforms from
    before are written too.

    Examples:

      dimos-record keep ring

      dimos-record keep ring --last 10m --as fall.db

      dimos-record keep ring --start @14:03:00 --end @14:05:30 --as fall.db
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.cli.times import Timescale, parse_end, parse_position
    from dimos_record.cli.writing import cancellable, save_as_json, say_written
    from dimos_record.errors import OptionError
    from dimos_record.record.options import parse_duration

    has_section = start is not None or end is not None
    if has_section and last is not None:
        raise OptionError("--last and --start or --end contradict each other; give one of them")
    last_s = None if has_section else parse_duration(_LAST if last is None else last, "--last")
    with RecordReplay(file) as rec:
        a_s = b_s = None
        if has_section:
            scale = Timescale.of(rec.reader)
            a_s = None if start is None else parse_position(start, "--start", scale)
            b_s = None if end is None else parse_end(end, "--end", scale, after_s=a_s)
        with cancellable(f"Keeping {file}", "nothing was kept", shown=not quiet) as progress:
            report = rec.keep(
                out, last_s=last_s, section=(a_s, b_s), overwrite=overwrite, on_progress=progress
            )
    if as_json:
        print_json(save_as_json(report))
    say_written(report)

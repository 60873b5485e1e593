"""`dimos-record split`: a recording as several files, one after the other."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Quiet
from dimos_record.cli.running import Json


def split(
    file: File,
    at: Annotated[
        list[str],
        typer.Argument(
            metavar="AT", help="Where the next file begins: 60, 1:30, lap2; +60 is 60 s on."
        ),
    ],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write FILE as several recordings.

    They part AT each position. FILE stays as it is. They are called walk-1.db, walk-2.db ...
    and lie beside it. Each begins with the maps, camera infos and static transforms that it
    needs.

    Examples:

      dimos-record split walk.db 1:00

      dimos-record split walk.db 60 +60 +60
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.cli.times import Timescale, parse_position
    from dimos_record.cli.writing import cancellable, save_as_json, say_written

    with RecordReplay(file) as rec:
        scale = Timescale.of(rec.reader)
        positions: list[float] = []
        for one in at:
            before_s = positions[-1] if positions else None
            positions.append(parse_position(one, "AT", scale, before_s))
        with cancellable(f"Splitting {file}", "no file was written", shown=not quiet) as progress:
            reports = rec.split(positions, on_progress=progress)
    if as_json:
        print_json([save_as_json(report) for report in reports])
    for report in reports:
        say_written(report)

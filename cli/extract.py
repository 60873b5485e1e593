"""`dimos-record extract`: a section of a recording as a file of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite, Quiet, Topics, chosen
from dimos_record.cli.running import Json


def extract(
    file: File,
    section: Annotated[
        list[str],
        typer.Argument(
            metavar="FROM [TO]", help="What is taken: 5 60, 1:05 +3; or an interval marker alone."
        ),
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The recording to write: fall.db")],
    topics: Topics = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a section into a recording of its own.

    FILE stays as it is. Maps, camera infos and static transforms from before the section are
    written too, since what follows needs them.

    Examples:

      dimos-record extract walk.db 1:05 1:20 fall.db

      dimos-record extract walk.db fall +10 fall.db -t '/camera/*' -t /odom
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.cli.times import Timescale, parse_section
    from dimos_record.cli.writing import cancellable, save_as_json, say_written

    with RecordReplay(file) as rec:
        a_and_b = parse_section(section, Timescale.of(rec.reader))
        with cancellable(f"Writing {out}", f"{out} was not written", shown=not quiet) as progress:
            report = rec.extract(
                a_and_b, out, topics=chosen(topics), overwrite=overwrite, on_progress=progress
            )
    if as_json:
        print_json(save_as_json(report))
    say_written(report)

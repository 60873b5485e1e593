"""`dimos-record trim`: keep a section of a recording."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import DryRun, File, Topics, chosen, show_report
from dimos_record.cli.running import Json


def trim(
    file: File,
    section: Annotated[
        list[str],
        typer.Argument(
            metavar="FROM [TO]", help="What stays: 5 60, 1:05 -3; or an interval marker alone."
        ),
    ],
    topics: Topics = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Keep a section, and cut what is before and after it.

    What is cut stays in the file until `save`; until then `undo` brings it back. Times do not
    change: what was recorded at 5 s stays there. Maps, camera infos and static transforms from
    before the section stay, since what follows needs them; with --topics nothing does.

    Examples:

      dimos-record trim walk.db 5 60

      dimos-record trim walk.db fall +10 --dry-run

      dimos-record trim walk.db 1:05 -3 -t '/camera/*'
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.times import Timescale, parse_section

    with RecordReplay(file) as rec:
        a_and_b = parse_section(section, Timescale.of(rec.reader))
        report = rec.trim(a_and_b, chosen(topics), preview=dry_run)
        show_report(report, rec.store.name, file, dry=dry_run, as_json=as_json)

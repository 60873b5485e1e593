"""`dimos-record cut`: remove a section of a recording, or whole topics."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import DryRun, File, Topics, chosen, show_report
from dimos_record.cli.running import Json


def cut(
    file: File,
    section: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FROM [TO]",
            help="What goes: 10 20, 1:05 +3; or an interval marker alone. Without it, all of the "
            "--topics.",
        ),
    ] = None,
    topics: Topics = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove a section; without times, whole topics.

    What is cut stays in the file until `save`; until then `undo` brings it back. Times do not
    change: playback jumps over the section. Maps, camera infos and static transforms in it
    stay, if what follows needs them; with --topics nothing stays of these.

    Examples:

      dimos-record cut walk.db 10 20

      dimos-record cut walk.db 1:05 +3 -t /camera/image --dry-run

      dimos-record cut walk.db --topic /lidar
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.times import Timescale, parse_section
    from dimos_record.errors import OptionError

    if not section and not topics:
        raise OptionError("cut needs FROM and TO, or --topics to remove as a whole")
    with RecordReplay(file) as rec:
        if section:
            a_and_b = parse_section(section, Timescale.of(rec.reader))
            report = rec.delete_section(a_and_b, chosen(topics), preview=dry_run)
        else:
            report = rec.delete_topic(*chosen(topics), preview=dry_run)
        show_report(report, rec.store.name, file, dry=dry_run, as_json=as_json)

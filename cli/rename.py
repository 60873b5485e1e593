"""`dimos-record rename`: another name for a recorded topic."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import DryRun, File, show_report
from dimos_record.cli.running import Json


def rename(
    file: File,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic: /odom")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name: /robot1/odom")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a recorded topic another name.

    Its messages stay as they are. `play --remap` renames for one playback only.

    Examples:

      dimos-record rename walk.db /odom /robot1/odom
    """
    from dimos_record import RecordReplay

    with RecordReplay(file) as rec:
        report = rec.rename_topic(topic, new, preview=dry_run)
        show_report(report, rec.store.name, file, dry=dry_run, as_json=as_json)

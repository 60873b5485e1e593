"""`dimos-record shift`: move a recorded topic in time."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import DryRun, File, show_report
from dimos_record.cli.running import Json


def shift(
    file: File,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic: /camera/image")],
    seconds: Annotated[
        str, typer.Argument(metavar="SECONDS", help="How far: 0.05 is later, -50ms earlier.")
    ],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Move a topic in time against the others.

    That makes good for a camera that is late, for example. The times of reception move. Bytes
    stay as they are, and with them the stamps in the headers.

    Examples:

      dimos-record shift walk.db /camera/image -50ms
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.times import parse_shift

    by_s = parse_shift(seconds, "SECONDS")
    with RecordReplay(file) as rec:
        report = rec.shift(topic, by_s, preview=dry_run)
        show_report(report, rec.store.name, file, dry=dry_run, as_json=as_json)

"""`dimos-record codec`: store a recorded topic in another way."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.editing import DryRun, File, show_report
from dimos_record.cli.running import Json


def codec(
    file: File,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic: /camera/image")],
    name: Annotated[
        str,
        typer.Argument(
            metavar="CODEC", help="lcm (as received), lz4+lcm (smaller), jpeg (loses pixels)."
        ),
    ],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Store a topic in another way: smaller, or as it was received.

    Its messages are encoded again when the recording is saved.

    Examples:

      dimos-record codec walk.db /lidar lz4+lcm

      dimos-record codec walk.db /camera/image jpeg
    """
    from dimos_record import RecordReplay

    with RecordReplay(file) as rec:
        report = rec.set_codec(topic, name, preview=dry_run)
        show_report(report, rec.store.name, file, dry=dry_run, as_json=as_json)

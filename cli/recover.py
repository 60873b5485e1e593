"""`dimos-record recover`: put in order what a killed recorder left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dimos_record.cli.running import say


def recover(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The recording to put in order.")],
) -> None:
    """Finish FILE after its recorder was killed or the power failed.

    The result is one self-contained file that any program can read. Nothing is lost by it, and
    reading FILE with dimos-record works before it too. What a killed save has left beside FILE is
    deleted. A recording that is in order stays as it is.

    Examples:

      dimos-record recover walk.db
    """
    from dimos_record.cli import text
    from dimos_record.errors import RecordingBusy
    from dimos_record.store import open_recording
    from dimos_record.store.paths import path_for_reading
    from dimos_record.store.recovery import recover as put_in_order
    from dimos_record.store.summary import summarize
    from dimos_record.store.unfinished import clean_up

    clean_up(Path(file))  # puts back a folder that a killed save has taken away
    path = path_for_reading(file)
    if not put_in_order(path):
        raise RecordingBusy(f"{path} is open in another program; close that one and try again")
    with open_recording(path) as reader:
        summary = summarize(reader)
    say(
        f"{path} is in order: {summary.count:,} messages in {len(summary.topics)} topics, "
        f"{text.seconds(summary.duration_s)}"
    )

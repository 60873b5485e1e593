"""`dimos-record fetch`: get a published recording."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli import text
from dimos_record.cli.editing import Overwrite, Quiet, counted
from dimos_record.cli.running import Json, say


def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A published recording: walk, or walk.db")
    ],
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Pull and unpack a recording that was published.

    It is looked for in data/.lfs of the project, pulled from Git LFS where only a pointer is
    there, and unpacked into data. A recording that is there already stays, unless --overwrite is
    given. Commands that read a recording do the same where it is missing.

    Examples:

      dimos-record fetch walk
    """
    from dimos_record.cli.tables import print_json
    from dimos_record.cli.writing import cancellable
    from dimos_record.lfs.fetch import fetch as fetch_recording
    from dimos_record.store import open_recording
    from dimos_record.store.summary import summarize

    otherwise = f"{name} was not fetched"
    with cancellable(f"Fetching {name}", otherwise, shown=not quiet) as on_progress:
        path = fetch_recording(name, overwrite=overwrite, on_progress=on_progress)
    with open_recording(path) as reader:
        summary = summarize(reader)
    if as_json:
        print_json({"path": str(path), "messages": summary.count})
    say(
        f"{path}: {counted(summary.count)} in {text.counted(len(summary.topics), 'topic')}, "
        f"{text.seconds(summary.duration_s)}"
    )

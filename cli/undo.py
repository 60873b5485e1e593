"""`dimos-record undo` and `redo`: take edits back, and make them again."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dimos_record.cli.editing import File
from dimos_record.cli.running import say

Count = Annotated[int, typer.Argument(metavar="N", min=1, help="How many edits.")]


def undo(file: File, count: Count = 1) -> None:
    """Take back the last N edits that are not saved yet.

    `redo` makes them again, until another edit is made.

    Examples:

      dimos-record undo walk.db

      dimos-record undo walk.db 3
    """
    _turn(file, count, "undo")


def redo(file: File, count: Count = 1) -> None:
    """Make the last N edits again that `undo` has taken back.

    Examples:

      dimos-record redo walk.db
    """
    _turn(file, count, "redo")


def _turn(file: str, count: int, what: Literal["undo", "redo"]) -> None:
    from dimos_record import RecordReplay
    from dimos_record.cli.text import printable
    from dimos_record.errors import EditError

    with RecordReplay(file) as rec:
        name = rec.store.name
        found = sum(one.undone == (what == "redo") for one in rec.history)
        if found < count:
            there_are = f"has {found:,} edits" if found else "has no edit"
            raise EditError(f"{name} {there_are} to {what}; see: dimos-record history {file}")
        done = "taken back" if what == "undo" else "made again"
        for entry in rec.undo(count) if what == "undo" else rec.redo(count):
            say(f"{name}: {done}: {printable(entry.text)}")

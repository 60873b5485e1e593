"""`dimos-record history` and `revert`: the edits that are not saved yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dimos_record.cli.editing import DryRun, File
from dimos_record.cli.running import Json, say

if TYPE_CHECKING:
    from dimos_record.editing import HistoryEntry


def history(file: File, as_json: Json = False) -> None:
    """List the edits that are not saved yet.

    Those that were undone stand at the end, until another edit is made.

    Examples:

      dimos-record history walk.db

      dimos-record history walk.db --json
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json

    with RecordReplay(file) as rec:
        entries, name = rec.history, rec.store.name
    if as_json:
        print_json([_as_json(one) for one in entries])
    elif entries:
        _print(entries)
    else:
        say(f"{name} has no edits that are not saved")


def revert(file: File, dry_run: DryRun = False) -> None:
    """Take back all edits that are not saved yet.

    Examples:

      dimos-record revert walk.db
    """
    from dimos_record import RecordReplay
    from dimos_record.errors import EditError

    with RecordReplay(file) as rec:
        texts = [one.text for one in rec.history if not one.undone]
        name = rec.store.name
        if not texts:
            raise EditError(f"{name} has no edits to take back; it is as it was saved")
        if not dry_run:
            rec.revert()
    if dry_run:
        print(f"{name}: would take back: {'; '.join(texts)}; nothing was changed")
    else:
        say(f"{name} is as it was saved; taken back: {'; '.join(texts)}")


def _print(entries: list[HistoryEntry]) -> None:
    from dimos_record.cli.tables import plain_table, show
    from dimos_record.cli.text import moment, printable

    table = plain_table()
    for header in ("made", "edit", "state"):
        table.add_column(header, overflow="fold", no_wrap=header != "edit")
    for one in entries:
        state = "undone" if one.undone else "not saved"
        table.add_row(moment(one.edit.made_ns)[:19], printable(one.text), state)
    show(table)


def _as_json(one: HistoryEntry) -> dict[str, Any]:
    return {
        "id": one.edit.id,
        "made_ns": one.edit.made_ns,
        "kind": one.edit.kind,
        "edit": one.text,
        "undone": one.undone,
        "args": one.edit.args,
    }

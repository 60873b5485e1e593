"""`dimos-record save`: write the edits of a recording into its file, or into another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli import text
from dimos_record.cli.editing import DryRun, File, Overwrite, Quiet, counted
from dimos_record.cli.running import Json, say

if TYPE_CHECKING:
    from dimos_record import RecordReplay
    from dimos_record.edit.writing import SaveReport


def save(
    file: File,
    out: Annotated[
        str | None,
        typer.Option("--as", metavar="OUT", help="Write a new file, and leave FILE as it is."),
    ] = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the edits of FILE for good.

    What was cut is gone then, and the space is given back. The new file is written beside the
    old one, which it replaces in one step. Ctrl-C, a crash or a power cut before that leave
    FILE as it was. Every message that was not cut is kept, byte for byte.

    Examples:

      dimos-record save walk.db

      dimos-record save walk.db --as walk-trimmed.db

      dimos-record save walk.db --dry-run
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.cli.writing import cancellable, save_as_json
    from dimos_record.errors import OptionError

    if overwrite and out is None:
        raise OptionError("--overwrite is about the file that --as names; leave it out, or name it")
    with RecordReplay(file) as rec:
        name = rec.store.name
        before = _count(rec)
        if dry_run:
            _show_plan(rec, before, as_json)
            return
        otherwise = f"{name} is as it was" if out is None else f"{out} was not written"
        with cancellable(f"Saving {out or name}", otherwise, shown=not quiet) as on_progress:
            if out is None:
                report = rec.save(on_progress=on_progress)
            else:
                report = rec.save_as(out, overwrite=overwrite, on_progress=on_progress)
    if as_json:
        print_json({**save_as_json(report), "messages_gone": before - report.messages})
    say(_account(report, before, name, new=out is not None))


def _count(rec: RecordReplay) -> int:
    """Messages in the file, those included that were cut and not saved."""
    reader = rec.reader.base
    return sum(reader.count_between(one, None, None) for one in reader.streams)


def _show_plan(rec: RecordReplay, before: int, as_json: bool) -> None:
    from dimos_record.cli.tables import print_json

    texts = [one.text for one in rec.history if not one.undone]
    gone = before - sum(rec.reader.count_between(one, None, None) for one in rec.reader.streams)
    name = rec.store.name
    if as_json:
        plan: dict[str, Any] = {"path": name, "dry_run": True, "edits": texts}
        print_json({**plan, "messages": before - gone, "messages_gone": gone})
        return
    for one in texts:
        print(f"{name}: would {one}")
    goes = f"{counted(gone)} would be gone for good" if gone else "no message would be gone"
    print(f"{name}: {goes}, {counted(before - gone)} stay; nothing was changed")


def _account(report: SaveReport, before: int, name: str, *, new: bool) -> str:
    """`walk.db: saved; 1,234 messages are gone, 9,876 stay; 95.2 MB -> 61.3 MB, ...`"""
    gone = before - report.messages
    went = f"{counted(gone)} are gone" if gone else "no message is gone"
    sizes = f"{text.size(report.size_before)} -> {text.size(report.size_after)}"
    if new:
        return (
            f"{report.path}: written; {went}, {counted(report.messages)} stay; {sizes}; "
            f"{name} is as it was"
        )
    given_back = report.size_before - report.size_after
    room = f", {text.size(given_back)} given back" if given_back > 0 else ""
    return f"{name}: saved; {went}, {counted(report.messages)} stay; {sizes}{room}"

"""`dimos-record publish`: pack a recording for Git LFS."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from dimos_record.cli import text
from dimos_record.cli.editing import File, Quiet
from dimos_record.cli.running import Json, say

if TYPE_CHECKING:
    from dimos_record.lfs.publish import PublishReport


def publish(
    file: File,
    commit: Annotated[bool, typer.Option("--commit", help="Commit what was staged.")] = False,
    push: Annotated[
        bool, typer.Option("--push", help="Commit, and push the branch with what is in Git LFS.")
    ] = False,
    message: Annotated[
        str | None, typer.Option("--message", "-m", metavar="TEXT", help="Of the commit.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an archive that is not committed.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Pack FILE into data/.lfs, for Git LFS.

    FILE is in a git work tree, and stays as it is. Its archive is staged, with the lines that
    .gitattributes and .gitignore need; nothing else is ever staged or committed. With --push the
    branch is pushed, and all that it has in Git LFS. Who has the project then gets the recording
    with `dimos-record fetch`, or by using it: RecordReplay("walk").

    Examples:

      dimos-record publish walk.db

      dimos-record publish walk.db --push -m 'Walk through the office'
    """
    from dimos_record.cli.tables import print_json
    from dimos_record.cli.writing import cancellable
    from dimos_record.lfs.publish import publish as publish_recording

    otherwise = f"{file} was not published"
    with cancellable(f"Packing {file}", otherwise, shown=not quiet) as on_progress:
        report = publish_recording(
            file,
            commit=commit,
            push=push,
            message=message,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if as_json:
        print_json(
            {
                "path": str(report.path),
                "recording": str(report.recording),
                "messages": report.messages,
                "size_before_bytes": report.size_before,
                "size_after_bytes": report.size_after,
                "changed": report.changed,
                "staged": list(report.staged),
                "commit": report.commit,
                "pushed_to": report.pushed_to,
            }
        )
    say(_account(report, file))


def _account(report: PublishReport, file: str) -> str:
    """`data/.lfs/walk.db.tar.gz: 12.3 MB of 45.6 MB, staged with .gitignore; ...`"""
    sizes = f"{text.size(report.size_after)}, packed from {text.size(report.size_before)}"
    archive, *others = report.staged
    again = "" if report.changed else ", as it was before"
    if report.pushed_to:
        done = f"committed as {report.commit} and pushed to {report.pushed_to}"
        next_step = f"others get it with: git pull, dimos-record fetch {_name(report)}"
    elif report.commit:
        done = f"committed as {report.commit}"
        next_step = f"push it with: dimos-record publish {shlex.quote(file)} --push"
    else:
        done = f"staged with {', '.join(others)}" if others else "staged"
        next_step = f"commit and push it with: dimos-record publish {shlex.quote(file)} --push"
    return f"{archive}{again}: {sizes}; {done}; {next_step}"


def _name(report: PublishReport) -> str:
    return shlex.quote(report.recording.name)

"""`dimos-record doctor`: whether a recording is in order, and what to do if it is not."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.editing import File, Quiet, counted
from dimos_record.cli.running import Json, say, stop_signals

if TYPE_CHECKING:
    from dimos_record.store.doctor import Diagnosis, Finding


def doctor(
    file: File,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Do not read the messages: fast, and damage may go unseen."),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Tell what is wrong with a recording, what that means, and what to do.

    All of it is read and every message is compared with its checksum; nothing is changed. Exits
    with 0 if nothing needs to be done, with 4 if it is damaged, and with 6 if something else should
    be done about it.

    Examples:

      dimos-record doctor walk.db

      dimos-record doctor walk.db --json
    """
    from dimos_record.cli.progress import ReadingLine
    from dimos_record.cli.tables import print_json
    from dimos_record.errors import RecordingDamaged, RecordingUnsound
    from dimos_record.store.doctor import diagnose
    from dimos_record.store.paths import path_for_reading

    path = path_for_reading(file)
    with stop_signals() as stop, ReadingLine(f"Checking {path}", shown=not quiet) as line:

        def on_progress(done: int, total: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            line.update(done, total)

        found = diagnose(path, quick=quick, on_progress=on_progress)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
    if found.damaged:
        raise RecordingDamaged(
            f"{path} is damaged; save what is left with: dimos-record recover {path}"
        )
    if not found.healthy:
        raise RecordingUnsound(f"{path} is not in order; what to do is said above")
    say(f"{path} is in order: {counted(found.messages)}{_checked(found)}")


def _checked(found: Diagnosis) -> str:
    if not found.checked:
        return ""
    every = "every one" if found.checked == found.messages else f"{found.checked:,} of them"
    return f", {every} proven to be what was recorded"


def _print(found: Diagnosis) -> None:
    from dimos_record.cli.text import printable

    for remedy, group in groupby(found.findings, lambda finding: finding.remedy):
        for finding in group:
            print(printable(f"{finding.severity}: {_subject(finding, found)}{finding.what}"))
        if remedy is not None:
            print(printable(f"  {remedy}"))


def _subject(finding: Finding, found: Diagnosis) -> str:
    """The segment and the topic that a finding is about."""
    parts = []
    if finding.file is not None and finding.file != found.path:
        parts.append(finding.file.name)
    if finding.topic is not None:
        parts.append(finding.topic)
    return "".join(f"{part}: " for part in parts)


def _as_json(found: Diagnosis) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "healthy": found.healthy,
        "damaged": found.damaged,
        "messages": found.messages,
        "messages_checked": found.checked,
        "findings": [
            {**asdict(finding), "file": str(finding.file) if finding.file else None}
            for finding in found.findings
        ],
    }

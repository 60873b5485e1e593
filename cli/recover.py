"""`dimos-record recover`: put in order what a killed recorder left, or save what is not damaged."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.editing import Overwrite, Quiet, counted
from dimos_record.cli.running import Json, say, stop_signals

if TYPE_CHECKING:
    from dimos_record.store.recovery import Recovered
    from dimos_record.store.salvage import Gap, SalvageReport, StreamSalvage

_GAPS = 5


def recover(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The recording to put in order, or the folder of its segments."
        ),
    ],
    out: Annotated[
        str | None,
        typer.Argument(
            metavar="OUT",
            help="Where to save what is left of a damaged one; default: FILE-recovered.db",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Finish FILE after its recorder was killed, or save what is left of a damaged one.

    All of FILE is read first. One that was only left unfinished becomes one self-contained file
    that any program can read; nothing is lost by it. What a killed save has left beside FILE is
    deleted. A recording that is in order stays as it is.

    A damaged FILE is never changed. Every message that is whole goes into OUT, and what is missing
    is said. Exits with 0 if nothing is missing, with 6 if something is, with 4 if nothing could be
    saved.

    Examples:

      dimos-record recover walk.db

      dimos-record recover damaged.db rescued.db
    """
    from dimos_record.cli.progress import ReadingLine
    from dimos_record.cli.tables import print_json
    from dimos_record.errors import MessagesMissing, RecordingBusy
    from dimos_record.store.paths import path_for_reading, path_for_writing
    from dimos_record.store.recovery import rescue
    from dimos_record.store.unfinished import clean_up

    clean_up(Path(file))  # puts back a folder that a killed save has taken away
    path = path_for_reading(file)
    target = path_for_writing(out) if out is not None else None
    with stop_signals() as stop, ExitStack() as stack:
        lines: dict[str, ReadingLine] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            if what not in lines:
                stack.close()
                lines[what] = stack.enter_context(ReadingLine(f"{what} {path}", shown=not quiet))
            lines[what].update(done, total)

        done = rescue(path, target, overwrite=overwrite, on_progress=on_progress)
    if not done.finished:
        raise RecordingBusy(f"{path} is open in another program; close that one and try again")
    if as_json:
        print_json(_as_json(path, done))
    for report in done.reports:
        _say_saved(report)
    _say_result(path, done)
    if not done.complete:
        missing = sum(report.missing for report in done.reports)
        lacks = f"lacks {counted(missing)}" if missing else "is not complete"
        raise MessagesMissing(
            f"{path} is damaged and {done.path} {lacks}, as is said above; look for an earlier copy"
        )


def _say_result(path: Path, done: Recovered) -> None:
    from dimos_record.cli import text
    from dimos_record.store import open_recording
    from dimos_record.store.summary import summarize

    with open_recording(done.path) as reader:
        summary = summarize(reader)
    figures = (
        f"{counted(summary.count)} in {text.counted(len(summary.topics), 'topic')}, "
        f"{text.seconds(summary.duration_s)}"
    )
    if done.reports:
        say(f"{done.path} has what is left of {path}: {figures}")
    else:
        say(f"{done.path} is in order: {figures}")


def _say_saved(report: SalvageReport) -> None:
    from dimos_record.cli import text

    firsts = [stream.first_ns for stream in report.streams if stream.first_ns is not None]
    start_ns = min(firsts, default=0)
    for stream in report.streams:
        name = text.printable(stream.topic)
        if stream.missing:
            counts = f"{stream.saved:,} saved, {stream.missing:,} missing"
            if stream.in_account is not None:
                counts += f" ({stream.in_account:,} were written, as the account says)"
            say(f"{name}: {counts}: {_where(stream, start_ns)}")
        if stream.unproven:
            say(f"{name}: {counted(stream.unproven)} without a checksum, which look whole")
        if stream.guessed:
            say(f"{name}: what this topic was called is lost; its name is made from its table's")
    for part in report.lost_parts:
        say(f"{part[0].upper()}{part[1:]}")


def _where(stream: StreamSalvage, start_ns: int) -> str:
    parts = [_gap(gap, start_ns) for gap in stream.gaps[:_GAPS]]
    if len(stream.gaps) > _GAPS:
        parts.append(f"and {len(stream.gaps) - _GAPS:,} more places")
    return "; ".join(parts)


def _gap(gap: Gap, start_ns: int) -> str:
    numbers = f"number {gap.first:,}" if gap.size == 1 else f"numbers {gap.first:,}-{gap.last:,}"
    times = [
        f"{word} {(time_ns - start_ns) / 1e9:.3f} s"
        for word, time_ns in (("from", gap.after_ns), ("to", gap.before_ns))
        if time_ns is not None
    ]
    return " ".join([numbers, *times])


def _as_json(path: Path, done: Recovered) -> dict[str, Any]:
    return {
        "path": str(done.path),
        "source": str(path),
        "damaged": bool(done.reports),
        "complete": done.complete,
        "files": [_report_as_json(report) for report in done.reports],
    }


def _report_as_json(report: SalvageReport) -> dict[str, Any]:
    return {
        "source": str(report.source),
        "path": str(report.path),
        "messages_saved": report.saved,
        "messages_missing": report.missing,
        "messages_without_checksum": report.unproven,
        "lost": list(report.lost_parts),
        "topics": [
            {
                "topic": stream.topic,
                "type": stream.type_name,
                "saved": stream.saved,
                "missing": stream.missing,
                "in_account": stream.in_account,
                "without_checksum": stream.unproven,
                "topic_is_guessed": stream.guessed,
                "gaps": [gap._asdict() for gap in stream.gaps],
            }
            for stream in report.streams
        ],
    }

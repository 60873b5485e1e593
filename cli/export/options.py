"""What all formats share: options, progress, Ctrl-C, and the account of what was written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli import text
from dimos_record.cli.editing import chosen
from dimos_record.cli.progress import ReadingLine
from dimos_record.cli.running import say, stop_signals

if TYPE_CHECKING:
    from dimos_record import ReplayView
    from dimos_record.interop.exporting import ExportReport, Loss

_MOST_NAMED = 3

Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", "-x", metavar="TOPIC", help="A topic to leave out; repeatable."),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start", metavar="TIME", help="Begin here: 12.5, 1:23.5, -10 (before the end), a marker."
    ),
]
End = Annotated[
    str | None, typer.Option("--end", metavar="TIME", help="End here, written in the same way.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with code 6 if something could not be carried.")
]


@dataclass(frozen=True)
class What:
    """Which part of which recording is exported, as it was asked for."""

    file: str
    topics: list[str] | None
    exclude: list[str] | None
    start: str | None
    end: str | None


@dataclass(frozen=True)
class How:
    """What every format is told besides."""

    overwrite: bool
    strict: bool
    quiet: bool
    as_json: bool


def run_export(what: What, out: str, format: str, how: How, **options: Any) -> None:
    """Export, and say what was written and what could not be carried.

    Args:
        what: which messages.
        out: the file or folder to write.
        format: its format.
        how: what to do about what is there, and what to say.
        options: those of the format.

    Raises:
        CodecError: something could not be carried, in strict mode; the rest was written.
        Others: see `RecordReplay.export`.
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.errors import CodecError

    with RecordReplay(what.file) as rec:
        view = view_of(rec.view(), what)
        with counted_progress(
            f"Writing {out}", f"{out} was not written", shown=not how.quiet
        ) as progress:
            report = view.export(
                out, format, overwrite=how.overwrite, on_progress=progress, **options
            )
    if how.as_json:
        print_json(report_as_json(report))
    say_losses(report.losses)
    say(f"{report.path}: {_messages(report.messages)}, {text.size(report.bytes)}")
    if how.strict and report.losses:
        raise CodecError(f"not everything of {what.file} could be carried; the rest is in {out}")


def view_of(view: ReplayView, what: What) -> ReplayView:
    """The part that was asked for.

    Raises:
        OptionError: a time is none.
    """
    from dimos_record.cli.times import Timescale, parse_start_and_end

    scale = Timescale.of(view.recording.reader)
    a_s, b_s = parse_start_and_end(what.start, what.end, scale)
    return view.select(chosen(what.topics), what.exclude or ()).between(a_s, b_s)


@contextmanager
def counted_progress(
    doing: str, otherwise: str, *, shown: bool, line: type[ReadingLine] = ReadingLine
) -> Iterator[Callable[[int, int], None]]:
    """Progress in the terminal; Ctrl-C, SIGTERM and a closed terminal cancel what goes on.

    Args:
        doing: what goes on: `Writing walk.mcap`.
        otherwise: what is so when it was cancelled: `walk.mcap was not written`.
        shown: whether there is to be a line of progress.
        line: what draws it, from messages or bytes.
    """
    try:
        with stop_signals() as stop, line(doing, shown=shown) as drawn:

            def on_progress(done: int, total: int) -> None:
                if stop.is_set():
                    raise KeyboardInterrupt
                drawn.update(done, total)

            yield on_progress
    except KeyboardInterrupt:
        say(f"Cancelled; {otherwise}")
        raise


def say_losses(losses: Iterable[Loss]) -> None:
    """Say what could not be carried, equal losses of topics and recordings together."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for loss in losses:
        counts[loss.what][loss.topic] += loss.count
    for what, of_topics in counts.items():
        said = f"{sum(of_topics.values()):,}" if set(of_topics) == {""} else _concerned(of_topics)
        say(f"warning: not carried: {what}: {said}")


def _concerned(counts: Counter[str]) -> str:
    """`2,375 messages of /odom, /tf`; of many topics how many they are."""
    names = ", ".join(map(text.printable, sorted(counts)))
    of = names if len(counts) <= _MOST_NAMED else f"{len(counts)} topics"
    return f"{_messages(sum(counts.values()))} of {of}"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def report_as_json(report: ExportReport) -> dict[str, Any]:
    """The figures of what was written, under names that stay."""
    return {
        "path": str(report.path),
        "format": report.format,
        "messages": report.messages,
        "size_bytes": report.bytes,
        "topics": [
            {"topic": one.topic, "type": one.type_name, "messages": one.count}
            for one in report.topics
        ],
        "losses": [
            {"topic": one.topic, "what": one.what, "count": one.count} for one in report.losses
        ],
    }

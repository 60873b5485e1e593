"""What `dimos-record export parquet --partition-by` does: many recordings into one data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dimos_record.cli import text
from dimos_record.cli.export.options import (
    How,
    What,
    counted_progress,
    report_as_json,
    say_losses,
    view_of,
)
from dimos_record.cli.progress import ReadingLine
from dimos_record.cli.running import say
from dimos_record.errors import CodecError, DimosRecordError

if TYPE_CHECKING:
    from dimos_record.interop.exporting import ExportReport


class RecordingsLine(ReadingLine):
    """How many recordings have been added."""

    def _figures(self, done: int, total: int, elapsed_s: float) -> str:
        return f"{done:,} of {total:,} recordings"


def add_recordings(wanted: Sequence[What], out: str, how: How, **options: Any) -> None:
    """Add recordings to a data set, and say what was added and what could not be carried.

    Args:
        wanted: what of which recordings.
        out: the folder of the data set.
        how: what to do about what is there, and what to say.
        options: see `add_to_data_set`.

    Raises:
        CodecError: something could not be carried, in strict mode; the rest was added.
        Others: see `add_to_data_set`; the recordings before are in the data set, which is said.
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.interop.partitions import add_to_data_set

    _check(wanted)
    reports: list[ExportReport] = []
    with (
        _saying_how_far(wanted, reports, out),
        counted_progress(
            f"Adding to {out}",
            "the recording that was being added is left out",
            shown=not how.quiet,
            line=RecordingsLine,
        ) as progress,
    ):
        for i, what in enumerate(wanted):
            with RecordReplay(what.file) as rec:

                def on_progress(done: int, total: int, added: int = i) -> None:
                    progress(added, len(wanted))

                reports.append(
                    add_to_data_set(
                        view_of(rec.view(), what),
                        out,
                        overwrite=how.overwrite,
                        on_progress=on_progress,
                        **options,
                    )
                )
    if how.as_json:
        print_json([report_as_json(report) for report in reports])
    say_losses([loss for report in reports for loss in report.losses])
    messages, size = sum(one.messages for one in reports), sum(one.bytes for one in reports)
    recordings = text.counted(len(reports), "recording")
    say(f"{out}: {recordings} added, {text.counted(messages, 'message')}, {text.size(size)}")
    if how.strict and any(report.losses for report in reports):
        raise CodecError(f"not everything could be carried; the rest is in {out}")


def _check(wanted: Sequence[What]) -> None:
    """Find out what is wrong with any of the recordings before the first of them is added."""
    from dimos_record import RecordReplay

    for what in wanted:
        with RecordReplay(what.file) as rec:
            _ = view_of(rec.view(), what).streams


@contextmanager
def _saying_how_far(
    wanted: Sequence[What], reports: Sequence[ExportReport], out: str
) -> Iterator[None]:
    """Say how many recordings were added, if that ends before the last."""
    try:
        yield
    except (DimosRecordError, KeyboardInterrupt):
        if reports:
            say(f"{len(reports):,} of {len(wanted):,} recordings were added to {out} before that")
        raise

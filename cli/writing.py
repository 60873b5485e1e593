"""What the commands share that write a recording anew: progress, Ctrl-C, and the account of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dimos_record.cli import text
from dimos_record.cli.progress import CopyingLine
from dimos_record.cli.running import say, stop_signals

if TYPE_CHECKING:
    from dimos_record.edit.writing import SaveReport

OnProgress = Callable[[int, int], None]


@contextmanager
def cancellable(doing: str, otherwise: str, *, shown: bool) -> Iterator[OnProgress]:
    """Progress in the terminal; Ctrl-C, SIGTERM and a closed terminal cancel what goes on.

    Args:
        doing: what goes on: `Saving walk.db`.
        otherwise: what is so when it was cancelled: `walk.db is as it was`.
        shown: whether there is to be a line of progress.
    """
    try:
        with stop_signals() as stop, CopyingLine(doing, shown=shown) as line:

            def on_progress(done_bytes: int, total_bytes: int) -> None:
                if stop.is_set():
                    raise KeyboardInterrupt
                line.update(done_bytes, total_bytes)

            yield on_progress
    except KeyboardInterrupt:
        say(f"Cancelled; {otherwise}")
        raise


def say_written(report: SaveReport) -> None:
    """Say what has been written."""
    say(f"{report.path}: {report.messages:,} messages, {text.size(report.size_after)} on disk")


def save_as_json(report: SaveReport) -> dict[str, Any]:
    """The figures of what was written, under names that stay."""
    return {
        "path": str(report.path),
        "messages": report.messages,
        "stored_bytes": report.bytes,
        "size_before_bytes": report.size_before,
        "size_after_bytes": report.size_after,
    }

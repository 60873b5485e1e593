"""Reading goes page by page, and a page costs the same wherever in the stream it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record.bus.base import split_channel
from dimos_record.store.connection import connect_for_reading
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writer import RecordingWriter

T0 = 1_700_000_000_000_000_000


def record(path: Path, times_ns: list[int]) -> None:
    writer = RecordingWriter.create(path)
    writer.begin_session(T0, {}, split=split_channel)
    writer.write([(T0 + at_ns, "/a", b"%d" % at_ns) for at_ns in times_ns])
    writer.end_session(T0 + max(times_ns), "stopped", None, 0)
    writer.close()


def steps_to_read(path: Path, *, reverse: bool) -> int:
    """How many thousands of SQLite's instructions it takes to read everything."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection = connect_for_reading(path)
    connection.set_progress_handler(count, 1000)
    with RecordingReader(connection, path) as reader:
        times = [row.ts_ns for row in reader.rows("a", reverse=reverse)]
    assert times == sorted(times, reverse=reverse)
    return steps


@pytest.mark.once
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("in_order", [False, True])
def test_reading_four_times_as_much_takes_four_times_as_long(
    tmp_path: Path, in_order: bool, reverse: bool
) -> None:
    steps = []
    for count in (10_000, 40_000):
        times = list(range(count))
        if not in_order:
            times[1], times[2] = times[2], times[1]
        path = tmp_path / f"{count}.db"
        record(path, times)
        steps.append(steps_to_read(path, reverse=reverse))
    assert steps[1] < 4.4 * steps[0]

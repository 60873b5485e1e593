"""Reading goes page by page, and a page costs the same wherever in the stream it begins.

A stream costs the same, too, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def counted_steps(path: Path) -> Iterator[tuple[RecordingReader, list[None]]]:
    """A reader, and a list that grows by an item with every thousand of SQLite's instructions."""
    steps: list[None] = []
    connection = connect_for_reading(path)
    connection.set_progress_handler(lambda: steps.append(None), 1000)
    with RecordingReader(connection, path) as reader:
        yield reader, steps


def steps_to_read(path: Path, *, reverse: bool) -> int:
    """How many thousands of SQLite's instructions it takes to read everything."""
    with counted_steps(path) as (reader, steps):
        times = [row.ts_ns for row in reader.rows("a", reverse=reverse)]
    assert times == sorted(times, reverse=reverse)
    return len(steps)


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


@pytest.mark.once
def test_opening_four_times_as_many_streams_takes_four_times_as_long(tmp_path: Path) -> None:
    taken = []
    for count in (100, 400):
        writer = RecordingWriter.create(tmp_path / f"{count}.db")
        writer.begin_session(T0, {}, split=split_channel)
        writer.write([(T0, f"/t{number}", b"1") for number in range(count)])
        writer.end_session(T0, "stopped", None, 0)
        writer.close()
        with counted_steps(tmp_path / f"{count}.db") as (reader, steps):
            assert len(reader.streams) == count
            taken.append(len(steps))
    assert taken[1] < 6 * taken[0]

"""A folder of many segments: few are open at a time, whoever reads and whatever is deleted."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dimos_record.store.open_segments import MAX_OPEN
from dimos_record.store.segments import SegmentedReader, segments_of
from dimos_record.store.target import open_target
from tests.store.samples import START_NS, begin, end, messages

pytestmark = pytest.mark.once

SEGMENTS = 2 * MAX_OPEN + 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two messages of `/a` per segment."""
    folder = tmp_path_factory.mktemp("many") / "long"
    target = open_target(folder, split=True)
    writer = begin(target.writer, session="one")
    for part in range(SEGMENTS):
        if part:
            following = begin(target.next_writer(writer), session="one")
            end(writer, START_NS + part)
            writer = following
        writer.write(messages(2, first=2 * part))
    end(writer, START_NS + SEGMENTS)
    return folder


def open_files(folder: Path) -> int:
    """How many files of a folder this process has open."""
    links = (Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
    return sum(os.path.realpath(link).startswith(f"{folder}/") for link in links)


def in_threads(work: Callable[[int], None], count: int = 8) -> None:
    """Run something several times at once, and raise what it raises."""
    errors: list[Exception] = []

    def run(index: int) -> None:
        try:
            work(index)
        except Exception as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_few_segments_are_open_at_a_time(made: Path) -> None:
    with SegmentedReader(made) as reader:
        assert [row.id for row in reader.rows("a")] == list(range(1, 2 * SEGMENTS + 1))
        assert open_files(made) <= MAX_OPEN
        for number in range(1, 2 * SEGMENTS + 1):
            assert reader.payload("a", number).startswith(b"%d." % (number - 1))
        last = reader.last_at("a", 2**62)
        assert last is not None
        assert last.id == 2 * SEGMENTS
        assert reader.stats("a").count == 2 * SEGMENTS
        assert open_files(made) <= MAX_OPEN
    assert open_files(made) == 0


def test_several_threads_read_many_segments_at_once(made: Path) -> None:
    with SegmentedReader(made) as reader:

        def read(index: int) -> None:
            for number in range(1 + index, 2 * SEGMENTS, 7):
                assert reader.payload("a", number).startswith(b"%d." % (number - 1))
            assert sum(1 for _ in reader.rows("a", reverse=bool(index % 2))) == 2 * SEGMENTS

        in_threads(read)
        assert open_files(made) <= MAX_OPEN + 8


def test_segments_that_are_deleted_while_they_are_read_are_passed_over(
    made: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(made, tmp_path / "ring")
    to_delete = iter(segments_of(folder)[:-2])
    with SegmentedReader(folder) as reader:

        def read(index: int) -> None:
            if not index:
                for segment in to_delete:
                    segment.unlink()
                return
            for _ in range(20):
                found = [row.id for row in reader.rows("a")]
                assert found == sorted(found)
                assert found[-4:] == list(range(2 * SEGMENTS - 3, 2 * SEGMENTS + 1))
                reader.last_at("a", START_NS + 1)
                reader.ends("a", START_NS, START_NS + 10**9)
                reader.stats("a")
                reader.sessions()
                list(reader.log_lines())
                reader.span_ns()

        in_threads(read, 4)
        assert next(reader.rows("a")).id == 2 * SEGMENTS - 3
        with pytest.raises(LookupError):
            reader.payload("a", 1)

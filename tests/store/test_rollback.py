"""A transaction that fails leaves no trace, neither in the file nor in what the writer keeps."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dimos_record.bus import split_channel
from dimos_record.store import writer as writer_module
from dimos_record.store.base import StreamAccount
from dimos_record.store.reader import RecordingReader
from dimos_record.store.stream_writer import StreamMark, StreamWriter
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import START_NS, begin, end, messages, record

pytestmark = pytest.mark.once

MAP = "/map#nav_msgs.OccupancyGrid"
Step = Callable[[RecordingWriter], Any]


class Broken(Exception):
    """What makes a transaction fail."""


def content(path: Path) -> list[str]:
    """All of a file as SQL, but for what no two recordings have in common."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        lines = list(connection.iterdump())
    own = ("'recording_id'", "'created_ns'", '"_dr_migrations" VALUES')
    kept = (line for line in lines if not any(word in line for word in own))
    return [re.sub(r'"changes": \d+', "", line) for line in kept]


def saved_accounts(path: Path) -> dict[str, StreamAccount]:
    """The accounts of the last session as they are in a file."""
    with RecordingReader.open(path) as reader:
        return reader.sessions()[-1].accounts


class Twin:
    """A recording with a stream in the spool, one written directly, and one that is latched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta: dict[str, Any] = {"pid": 0}
        self.dropped = {"/a": 1}
        self.writer = RecordingWriter.create(path)
        self.writer.begin_session(START_NS, self.meta, split=split_channel, dropped=self.dropped)
        self.writer.write(messages(10) + messages(2, "/big", 50_000) + messages(1, MAP))
        self.meta["git"], self.dropped["/b"] = "abc", 3

    def go_on(self) -> list[list[str]]:
        """Write more and end, and return what the file and a next segment hold meanwhile."""
        self.note()
        found = [content(self.path)]
        for i in range(20, 32):
            self.writer.write(messages(4, first=i) + messages(4, "/new", first=i))
            found.append(content(self.path))
        for size in (100, 50_000):
            self.writer.write(messages(1, "/big", size, first=40))
            self.note()
        found.append(content(self.path))
        following = RecordingWriter.create(self.path.with_suffix(".next.db"))
        following.continue_from(self.writer)
        following.close()
        end(self.writer)
        assert saved_accounts(self.path) == self.writer.accounts()
        return [*found, content(self.path), content(Path(following.path))]

    def note(self) -> None:
        """Save the accounts."""
        self.writer.note_progress(START_NS + 1, START_NS + 1, START_NS + 1)
        assert saved_accounts(self.path) == self.writer.accounts()


def appended(writer: RecordingWriter) -> None:
    writer.append_one("/a", START_NS + 10**10, b"one", pose=[1.0] * 7, tags={"x": 1}, value=1)


def posed(writer: RecordingWriter) -> None:
    info = writer.declare(writer.describe("/a"))
    writer.set_poses(info, [(1, *[1.0] * 7)])


STEPS: dict[str, list[Step]] = {
    "a new stream": [lambda w: w.write(messages(3, "/new") + messages(3, "/new2", 50_000))],
    "a stream in the spool": [lambda w: w.write(messages(15, first=10))],
    "a stream written directly": [lambda w: w.write(messages(2, "/big", 50_000, first=10))],
    "a stream that grows large": [lambda w: w.write(messages(2, size=50_000, first=10))],
    "order given up": [lambda w: w.write(messages(1) + messages(1, "/big", 50_000))],
    "a latched stream": [lambda w: w.write(messages(2, MAP, first=10))],
    "one message appended": [appended],
    "poses": [posed],
    "the account saved": [lambda w: w.note_progress(START_NS, START_NS, START_NS)],
    "the spool emptied": [lambda w: w.drain()],
}
STEPS["all of that"] = [step for steps in STEPS.values() for step in steps]
STEPS["the account saved before more"] = [*STEPS["the spool emptied"], appended]


every_step = pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)


def do(writer: RecordingWriter, steps: list[Step]) -> None:
    with writer.transaction():
        for step in steps:
            step(writer)


def fail_after(writer: RecordingWriter, steps: list[Step]) -> None:
    with writer.transaction():
        do(writer, steps)
        raise Broken


@every_step
def test_a_writer_goes_on_after_a_failed_transaction_as_if_it_had_never_been(
    steps: list[Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SPOOL_BYTES", 20_000)
    twin, other = Twin(tmp_path / "a.db"), Twin(tmp_path / "b.db")
    before = content(twin.path)
    with pytest.raises(Broken):
        fail_after(twin.writer, steps)
    assert content(twin.path) == before
    assert twin.writer.accounts() == other.writer.accounts()
    for found, expected in zip(twin.go_on(), other.go_on(), strict=True):
        assert found == expected


@every_step
def test_what_failed_can_be_done_again(steps: list[Step], tmp_path: Path) -> None:
    twin, other = Twin(tmp_path / "a.db"), Twin(tmp_path / "b.db")
    with pytest.raises(Broken):
        fail_after(twin.writer, steps)
    do(twin.writer, steps)
    do(other.writer, steps)
    for found, expected in zip(twin.go_on(), other.go_on(), strict=True):
        assert found == expected


def test_a_session_that_cannot_begin_leaves_what_dimos_has_added_to_be_found_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(3))
    writer.end_session(START_NS + 1, "stopped", 0, 0)
    with closing(sqlite3.connect(path)) as dimos, dimos:  # older than what is there
        number = dimos.execute("INSERT INTO a (ts) VALUES (1.5)").lastrowid
        dimos.execute("INSERT INTO a_blob VALUES (?, x'01')", (number,))
    with pytest.raises(TypeError):
        begin(writer, no_json=object())
    assert writer.session is None
    begin(writer)
    writer.write(messages(1, first=3))
    end(writer)
    with RecordingReader.open(path) as reader:
        assert [row.id for row in reader.rows("a")] == [number, 1, 2, 3, 5]


def test_a_transaction_costs_what_the_streams_cost_that_it_touches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[str] = []

    def mark(stream: StreamWriter) -> StreamMark:
        marked.append(stream.info.name)
        return marks(stream)

    marks = StreamWriter.mark
    writer = begin(RecordingWriter.create(tmp_path / "walk.db"))
    writer.write([message for i in range(100) for message in messages(1, f"/t{i}")])
    writer.drain()
    monkeypatch.setattr(StreamWriter, "mark", mark)
    writer.write(messages(2, "/t7", first=1))
    assert marked == ["t7"]
    changes = writer.connection.total_changes
    writer.note_progress(START_NS, START_NS, START_NS)
    writer.note_progress(START_NS + 1, START_NS, START_NS)
    assert marked == ["t7"]
    assert writer.connection.total_changes - changes <= 1 + 2 * 3  # an account, clock and meta
    end(writer)


def test_what_is_dropped_of_a_silent_topic_gets_into_its_account(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    twin = Twin(path)
    twin.writer.drain()
    for count in (5, 7):
        twin.dropped["/big"] = count
        twin.writer.note_progress(START_NS, START_NS, START_NS)
        dropped = {name: account.dropped for name, account in saved_accounts(path).items()}
        assert dropped == {"a": 1, "b": 3, "big": count, "map": 0}
    end(twin.writer)


def test_a_session_has_an_account_of_every_stream_silent_ones_too(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(3) + messages(3, "/b")])
    writer = begin(RecordingWriter.append(path), START_NS + 10**9)
    writer.write(messages(2, first=200))
    writer.note_progress(START_NS, START_NS, START_NS)
    assert {name: found.written for name, found in saved_accounts(path).items()} == {"a": 2, "b": 0}
    end(writer)

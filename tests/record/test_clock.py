"""Receive times do not follow a wall clock that is set while recording."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dimos_record.record import session as session_module
from dimos_record.record.keeper import ClockWatch, wall_offset_ns
from dimos_record.store import open_recording
from tests.record.recordings import memory_bus, only_session, session_on, wait_until, written

HOUR_NS = 3600 * 10**9


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.moved_ns = 0

    def offset_ns(self) -> int:
        return wall_offset_ns() + self.moved_ns


def test_a_jump_is_counted_once_and_small_steps_are_none() -> None:
    wall = Wall()
    watch = ClockWatch(wall.offset_ns)
    begin_ns = watch.now_ns()
    found = []
    for moved_ns in (0, 10_000_000, HOUR_NS, HOUR_NS, -HOUR_NS):
        wall.moved_ns = moved_ns
        ts_ns, wall_ns, jump_ns = watch.sample()
        found.append(round(jump_ns / HOUR_NS))
        assert abs(wall_ns - moved_ns - ts_ns) < 10**9
    assert found == [0, 0, 1, 0, -2]
    assert watch.jumps == 2
    assert 0 <= watch.now_ns() - begin_ns < 60 * 10**9


def test_a_wall_clock_that_is_set_back_does_not_reorder_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wall = Wall()
    monkeypatch.setattr(session_module, "ClockWatch", lambda: ClockWatch(wall.offset_ns))
    path = tmp_path / "walk.db"
    with memory_bus("clock") as bus, session_on(bus, path) as session:
        for i in range(10):
            bus.publish("/a", b"%d" % i)
            if i == 4:
                wait_until(lambda: written(session) == 5)
                wall.moved_ns = -HOUR_NS
                wait_until(lambda: session.progress().clock_jumps == 1)
    assert "wall clock jumped by -3600" in caplog.text
    with open_recording(path) as reader:
        rows = list(reader.rows("a"))
        assert [row.data for row in rows] == [b"%d" % i for i in range(10)]
        assert [row.id for row in rows] == list(range(1, 11))
    assert only_session(path).clock_jumps == 1
    connection = sqlite3.connect(path)
    samples = connection.execute("SELECT ts_ns, wall_ns FROM _dr_clock ORDER BY ts_ns").fetchall()
    connection.close()
    assert round((samples[-1][0] - samples[-1][1]) / HOUR_NS) == 1


def test_a_jump_is_counted_once_over_all_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall()
    monkeypatch.setattr(session_module, "ClockWatch", lambda: ClockWatch(wall.offset_ns))
    with memory_bus("clocks") as bus, session_on(bus, tmp_path / "long", split_s=0.2) as session:
        bus.publish("/a", b"1")
        wall.moved_ns = HOUR_NS
        wait_until(lambda: session.progress().clock_jumps == 1)
        now = session.progress().segments
        wait_until(lambda: session.progress().segments > now + 1)
    assert only_session(tmp_path / "long").clock_jumps == 1

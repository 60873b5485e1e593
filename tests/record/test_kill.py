"""A recorder that is killed at any moment leaves a recording that lacks the last batch at most.

`DIMOS_RECORD_KILL_ROUNDS` says how often it is killed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from dimos_record.bus import Bus, open_bus
from dimos_record.store import open_recording
from dimos_record.store.target import open_target
from dimos_record.testing import free_lcm_url
from tests.record.recordings import check_integrity, session_on
from tests.store.samples import ROOT

pytestmark = pytest.mark.once

ROUNDS = int(os.environ.get("DIMOS_RECORD_KILL_ROUNDS", "8"))
LOSS_S = 1.0
"""What was published this long before the kill must be in the file.

A batch is committed every 0.1 s; the rest is for machines that have other things to do.
"""


class Topic(NamedTuple):
    name: str
    rate_hz: float
    size: int


TOPICS = [
    Topic("fast", 1000, 50),
    Topic("camera", 30, 200_000),
    Topic("odom", 50, 100),
    Topic("slow", 4, 20),
    Topic("slower", 1, 1000),
]


class Publisher:
    """Publishes numbered messages at several rates, and notes when."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent_s: dict[str, list[float]] = {topic.name: [] for topic in TOPICS}
        """Per topic, when its message 0, 1, 2 ... was published, by the monotonic clock."""

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(0.001):
            now = time.monotonic()
            for topic in TOPICS:
                times = self.sent_s[topic.name]
                while len(times) < (now - began) * topic.rate_hz:
                    data = b"%010d" % len(times) + bytes(topic.size)
                    self._bus.publish(f"/{topic.name}", data)
                    times.append(time.monotonic())

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def recorder(url: str, path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A recorder in a process of its own, once its subscription stands; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.record.record_until_killed", url, str(path), *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "recording\n"
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def kill_while_recording(
    path: Path, after_s: float, *options: str
) -> tuple[Publisher, dict[str, int], float]:
    """Record under load, and kill.

    Returns:
        What was published; how many messages had been when the recording began; when it was killed.
    """
    url = free_lcm_url() + "&recv_buf_size=8000000"
    with (
        open_bus(url) as bus,
        Publisher(bus) as publisher,
        recorder(url, path, *options) as process,
    ):
        begun = {name: len(times) for name, times in publisher.sent_s.items()}
        time.sleep(after_s)
        killed_s = time.monotonic()
        process.kill()
        process.wait()
    return publisher, begun, killed_s


def numbers(path: Path) -> dict[str, list[int]]:
    with open_recording(path) as reader:
        return {name: [int(row.data[:10]) for row in reader.rows(name)] for name in reader.streams}


def check_nothing_is_missing(
    found: dict[str, list[int]], publisher: Publisher, begun: dict[str, int], killed_s: float
) -> None:
    for name, times in publisher.sent_s.items():
        got = found.get(name, [])
        first = got[0] if got else begun[name]
        assert got == list(range(first, first + len(got))), f"/{name}: missing or twice"
        assert first <= begun[name]
        due = [n for n in range(begun[name], len(times)) if times[n] <= killed_s - LOSS_S]
        if due:
            assert got, f"/{name}: nothing recorded"
            missing = [killed_s - times[n] for n in due if n > got[-1]]
            assert not missing, f"/{name}: {len(missing)} messages, up to {max(missing):.3f} s old"


def check_with_plain_sqlite(path: Path, elsewhere: Path, found: dict[str, list[int]]) -> None:
    """A copy of the file is sound, and holds as much, to a program that knows nothing of us."""
    elsewhere.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, elsewhere)
    check_integrity(elsewhere / path.name)
    connection = sqlite3.connect(elsewhere / path.name)
    topics = dict(connection.execute("SELECT stream, id FROM _dr_topics"))
    for name, expected in found.items():
        stored = connection.execute(f'SELECT data FROM "{name}_blob" ORDER BY id').fetchall()
        query = "SELECT data FROM _dr_spool WHERE topic = ? ORDER BY id"
        stored += connection.execute(query, (topics[name],)).fetchall()
        assert [int(data[:10]) for (data,) in stored] == expected
    connection.close()


def check_a_second_session(path: Path, found: dict[str, list[int]]) -> None:
    """The recording is put in order and goes on."""
    with open_bus("memory://second") as bus, session_on(bus, path, append=True):
        for name in found:
            bus.publish(f"/{name}", b"%010d" % 10**9)
    expected = {name: [*got, 10**9] for name, got in found.items()}
    assert numbers(path) == expected
    with open_recording(path) as reader:
        assert [session.state for session in reader.sessions()] == ["killed", "finished"]
        assert reader.self_contained
        for name in reader.streams:
            ids = [row.id for row in reader.rows(name)]
            assert ids == list(range(1, len(ids) + 1))
    for file in path.iterdir() if path.is_dir() else [path]:
        check_integrity(file)


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_whenever_it_is_killed_only_the_last_batch_is_missing(tmp_path: Path) -> None:
    rng = random.Random()
    for i in range(ROUNDS):
        path = tmp_path / str(i) / "walk.db"
        path.parent.mkdir()
        publisher, begun, killed_s = kill_while_recording(path, rng.uniform(0.05, 3.0))
        with open_recording(path) as reader:
            assert [session.state for session in reader.sessions()] == ["killed"]
        found = numbers(path)
        check_nothing_is_missing(found, publisher, begun, killed_s)
        check_with_plain_sqlite(path, tmp_path / str(i) / "copy", found)
        check_a_second_session(path, found)
        _note(publisher, found, killed_s)
        shutil.rmtree(tmp_path / str(i))


def test_segments_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "long"
    for i in range(max(1, ROUNDS // 6)):
        publisher, begun, killed_s = kill_while_recording(path, 1.5 + 0.1 * i, "split_s=0.2")
        found = numbers(path)
        check_nothing_is_missing(found, publisher, begun, killed_s)
        for file in path.glob("*.db"):
            check_integrity(file)
        check_a_second_session(path, found)
        shutil.rmtree(path)


def test_a_recorder_that_appends_and_is_killed_again_keeps_all_sessions(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    before: dict[str, int] = {}
    for session in range(3):
        publisher, begun, killed_s = kill_while_recording(path, 1.2)
        found = numbers(path)
        fresh = {name: got[before.get(name, 0) :] for name, got in found.items()}
        check_nothing_is_missing(fresh, publisher, begun, killed_s)
        before = {name: len(got) for name, got in found.items()}
        with open_recording(path) as reader:
            assert [info.state for info in reader.sessions()] == ["killed"] * (session + 1)
    open_target(path, append=True).writer.close()
    assert {name: len(got) for name, got in numbers(path).items()} == before


def _note(publisher: Publisher, found: dict[str, list[int]], killed_s: float) -> None:
    """Write down how much was missing, for who asks for many rounds."""
    target = os.environ.get("DIMOS_RECORD_KILL_FIGURES")
    if target is None:
        return
    missing = {}
    for name, got in found.items():
        later = [at for at in publisher.sent_s[name][got[-1] + 1 :] if at < killed_s]
        missing[name] = [len(later), round(killed_s - min(later), 4) if later else 0.0]
    with open(target, "a", encoding="utf-8") as file:
        file.write(json.dumps(missing) + "\n")

"""dimos's memory reads our file while another process is recording into it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dimos_record.bus import open_bus
from dimos_record.store.connection import connect_for_reading
from dimos_record.store.reader import RecordingReader
from tests.with_dimos.messages import channel_of, color, pose
from tests.with_dimos.processes import wait_until

pytestmark = pytest.mark.dimos

RECORDER = "tests.with_dimos.record_until_told"
ROUNDS = 3
POSES, PICTURES = 40, 10


class Recorder:
    """Our recorder in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def finish(self) -> str:
        """Tell it to stop; what it says about what it received."""
        output, _ = self._process.communicate(timeout=30.0)
        assert self._process.returncode == 0
        return output.strip()


@pytest.fixture
def recorder(tmp_path: Path, lcm_url: str) -> Iterator[Recorder]:
    """Records `lcm_url` into live.db."""
    process = subprocess.Popen(
        [sys.executable, "-m", RECORDER, lcm_url, str(tmp_path / "live.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "recording\n"
        yield Recorder(process)
    finally:
        process.kill()
        process.communicate()


def test_counts_grow_in_dimos_while_we_record_and_nothing_is_lost(
    tmp_path: Path, lcm_url: str, recorder: Recorder, open_store: Callable[..., Any]
) -> None:
    path = tmp_path / "live.db"
    sent: dict[str, list[bytes]] = {"pose": [], "color": []}
    with open_bus(lcm_url) as robot:
        for _ in range(ROUNDS):
            publish_round(robot, sent)
            store = open_store(path)
            for name, messages in sent.items():
                assert_visible_in_dimos(store, name, messages)
    half_read = iter(store.stream("pose"))  # keeps a snapshot of the file for as long as it lives
    next(half_read)
    assert recorder.finish() == f"received {sum(map(len, sent.values()))}, lost 0"
    half_read.close()
    store.stop()
    assert_complete(path, sent)


def publish_round(robot: Any, sent: dict[str, list[bytes]]) -> None:
    """Small messages, which go through the spool, and large ones, which do not."""
    for name, make, count in (("pose", pose, POSES), ("color", color, PICTURES)):
        for _ in range(count):
            message = make(len(sent[name]) % 12)
            sent[name].append(message.lcm_encode())
            robot.publish(channel_of(f"/{name}", message), sent[name][-1])


def assert_visible_in_dimos(store: Any, name: str, messages: list[bytes]) -> None:
    """Everything sent so far gets there, and the newest can be queried and decoded."""
    wait_until(lambda: name in store.list_streams())
    stream = store.stream(name)
    wait_until(lambda: stream.count() == len(messages))
    latest = stream.order_by("ts", desc=True).limit(3).to_list()
    assert [observation.data.lcm_encode() for observation in latest] == messages[:-4:-1]


def assert_complete(path: Path, sent: dict[str, list[bytes]]) -> None:
    connection = connect_for_reading(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    with RecordingReader.open(path) as reader:
        (session,) = reader.sessions()
        assert session.state == "finished"
        for name, messages in sent.items():
            assert [row.data for row in reader.rows(name)] == messages
            assert session.accounts[name].written == len(messages)

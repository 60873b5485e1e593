"""More than can be recorded: every message that was sent is in the file or counted, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from dimos_record.bus import Bus, Selection, open_bus
from dimos_record.record.progress import Progress
from dimos_record.record.session import RecordingSession
from dimos_record.store.base import StreamAccount
from dimos_record.store.writer import RecordingWriter
from dimos_record.testing import Collector, free_lcm_url
from tests.record.recordings import only_session, payloads, session_on, wait_until, written

pytestmark = pytest.mark.once

SMALL = ("/imu", "/odometry", "/tf")
ROBOT = {"/rgb": 920_000, "/depth": 610_000, "/grey": 307_000, "/lidar": 380_000} | dict.fromkeys(
    SMALL, 400
)
TINY_BUFFER = "&recv_buf_size=60000"


@pytest.fixture(params=["compiled", "Python"])
def is_compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways of receiving, one after the other."""
    if request.param == "compiled":
        pytest.importorskip("dimos_record.bus._lcm_native")
        monkeypatch.delenv("DIMOS_RECORD_NATIVE", raising=False)
        return True
    monkeypatch.setenv("DIMOS_RECORD_NATIVE", "0")
    return False


class StallingWriter:
    """Keeps every recording's writer from writing, as a disk that hangs does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        write = RecordingWriter.write

        def write_later(writer: RecordingWriter, batch: Sequence[tuple[int, str, bytes]]) -> None:
            self._may_go_on.wait()
            write(writer, batch)

        monkeypatch.setattr(RecordingWriter, "write", write_later)

    def stall(self) -> None:
        self._may_go_on.clear()

    def go_on(self) -> None:
        self._may_go_on.set()


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[StallingWriter]:
    stalling = StallingWriter(monkeypatch)
    yield stalling
    stalling.go_on()


class Source:
    """Publishes numbered messages on a bus of its own, and counts them by stream."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.sent: dict[str, int] = {}

    def send(self, count: int, sizes: dict[str, int]) -> None:
        """So many messages on each of these topics, in turn, without a pause."""
        messages = []
        for _ in range(count):
            for topic, size in sizes.items():
                number = self.sent[topic[1:]] = self.sent.get(topic[1:], 0) + 1
                messages.append((topic, b"%08d" % number + bytes(size)))
        self._bus.publish_all(messages)

    @property
    def total(self) -> int:
        return sum(self.sent.values())


def check(path: Path, progress: Progress, source: Source) -> None:
    """What is in the file is there once and in order, and the file says what the session said."""
    session = only_session(path)
    assert session.accounts == progress.accounts
    assert session.senders == progress.senders
    for stream, account in session.accounts.items():
        numbers = [int(data[:8]) for data in payloads(path, stream)]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == account.written
        assert account.received == account.written + account.dropped <= source.sent[stream]


def check_every_message(path: Path, progress: Progress, source: Source) -> None:
    """Whatever was sent is in the file or counted, as dropped or as lost on its way."""
    check(path, progress, source)
    assert progress.total.received + (progress.lost_on_the_way or 0) == source.total
    assert progress.lost == source.total - progress.total.written


def calm_down(session: RecordingSession, bus: Bus, source: Source) -> None:
    """Wait until everything has come and is written, and send some more: that must not be lost."""
    with closing(bus.subscribe(Selection.of(["/nobody"]), print)) as probe:
        wait_until(lambda: probe.catch_up(1.0))
    wait_until(lambda: session.progress().waiting_bytes == 0)
    source.send(10, {"/calm": 100})
    nothing = StreamAccount()
    wait_until(lambda: session.progress().accounts.get("calm", nothing).received == 10)
    assert session.progress().accounts["calm"].dropped == 0


def test_what_comes_while_the_writer_stalls_is_kept_as_long_as_the_buffer_lasts(
    tmp_path: Path, is_compiled: bool, writer: StallingWriter
) -> None:
    path, url = tmp_path / "walk.db", free_lcm_url()
    with open_bus(url) as bus, open_bus(url) as other, Collector(bus, "*") as heard:
        source = Source(other)
        with session_on(bus, path) as session:
            for _ in range(2):
                writer.stall()
                for _ in range(20):
                    source.send(10, dict.fromkeys(SMALL, 400))
                    source.send(1, {"/rgb": 100_000})
                    heard.wait_for(source.total)
                assert written(session) < source.total
                writer.go_on()
                wait_until(lambda: written(session) == source.total)
    progress = session.progress()
    assert progress.lost == 0
    check_every_message(path, progress, source)


def test_beyond_the_buffer_losses_are_counted_exactly_and_end_when_the_writer_goes_on(
    tmp_path: Path, is_compiled: bool, writer: StallingWriter
) -> None:
    path, url = tmp_path / "walk.db", free_lcm_url()
    with open_bus(url) as bus, open_bus(url) as other, Collector(bus, "*") as heard:
        source = Source(other)
        with session_on(bus, path, buffer_bytes=1_000_000) as session:
            writer.stall()
            for _ in range(20):
                source.send(10, dict.fromkeys(SMALL, 400))
                source.send(1, {"/rgb": 100_000})
                heard.wait_for(source.total)
            writer.go_on()
            calm_down(session, bus, source)
    progress = session.progress()
    assert progress.total.dropped > 0
    assert progress.lost_on_the_way == 0
    check_every_message(path, progress, source)


@pytest.mark.parametrize("times", [2, 4])
def test_small_messages_that_the_kernel_has_no_room_for_are_counted_exactly(
    tmp_path: Path, is_compiled: bool, times: int
) -> None:
    path, url = tmp_path / "walk.db", free_lcm_url() + TINY_BUFFER
    with open_bus(url) as bus, open_bus(url) as other:
        source = Source(other)
        with session_on(bus, path) as session:
            source.send(1, dict.fromkeys(SMALL, 400))
            wait_until(lambda: written(session) == 3)  # whoever is not known cannot be missed
            source.send(2000 * times, dict.fromkeys(SMALL, 400))
            calm_down(session, bus, source)
    progress = session.progress()
    assert bool(progress.senders) is is_compiled
    check_every_message(path, progress, source)


@pytest.mark.parametrize("times", [2, 4])
def test_of_a_robot_that_sends_too_much_each_lost_message_is_counted(
    tmp_path: Path, is_compiled: bool, times: int
) -> None:
    path, url = tmp_path / "walk.db", free_lcm_url() + TINY_BUFFER
    with open_bus(url) as bus, open_bus(url) as other:
        source = Source(other)
        with session_on(bus, path) as session:
            source.send(1, dict.fromkeys(SMALL, 400))
            wait_until(lambda: written(session) == 3)
            source.send(5 * times, ROBOT)
            calm_down(session, bus, source)
    progress = session.progress()
    if is_compiled:
        check_every_message(path, progress, source)
    else:  # packets are counted, and a large message is many
        check(path, progress, source)
        assert progress.lost >= source.total - progress.total.written


def test_what_the_compiled_part_cannot_keep_while_nobody_takes_it_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dimos_record.bus._lcm_native")
    monkeypatch.delenv("DIMOS_RECORD_NATIVE", raising=False)
    path, url, may_go_on = tmp_path / "walk.db", free_lcm_url(), threading.Event()

    def finds_no_room() -> bool:
        source.send(10, {"/rgb": 1_000_000})
        return any(one.dropped_channels for one in bus.senders())

    with open_bus(url) as bus, open_bus(url) as other, session_on(bus, path) as session:
        source = Source(other)
        slow = bus.subscribe(Selection.of(["/slow"]), lambda *_: may_go_on.wait())
        try:
            source.send(1, {"/slow": 10})
            wait_until(finds_no_room)
        finally:
            may_go_on.set()
        calm_down(session, bus, source)
        slow.close()
    progress = session.progress()
    assert progress.accounts["rgb"].dropped > 0
    check_every_message(path, progress, source)

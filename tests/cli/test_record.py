"""`dimos-record record` and `topics` as processes, on real LCM."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Bus, open_bus
from dimos_record.errors import DiskFull, MessagesLost
from dimos_record.messages import encode
from dimos_record.testing import free_lcm_url
from tests.cli.commands import CLI, Running, Terminal, run, until
from tests.cli.samples import pose_at

ODOM = "/odom#geometry_msgs.PoseStamped"


@pytest.fixture
def url() -> str:
    return free_lcm_url() + "&recv_buf_size=4000000"


@pytest.fixture
def bus(url: str) -> Iterator[Bus]:
    with open_bus(url) as opened:
        yield opened


@contextmanager
def publishing(bus: Bus, *channels: str) -> Iterator[None]:
    """Publish on the channels for as long as the block lasts, about 100 times per second."""
    stop = threading.Event()

    def publish() -> None:
        number = 0
        while not stop.wait(0.01):
            for channel in channels:
                bus.publish(channel, encode(pose_at(number)))
            number += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def payloads(path: Path, topic: str = "/odom") -> list[bytes]:
    with RecordReplay(path) as rec:
        return [row.data for row in rec.reader.rows(rec.reader.find(topic).name)]


def count(path: Path) -> int:
    with RecordReplay(path) as rec:
        return rec.info().count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_published_is_in_the_file_when_ctrl_c_or_sigterm_has_ended_it(
    tmp_path: Path, bus: Bus, url: str, number: int
) -> None:
    path = tmp_path / "walk.db"
    sent = [encode(pose_at(i)) for i in range(100)]
    with Running("record", path, "--bus", url) as recording:
        recording.wait_for(f"Recording to {path} ")
        for data in sent:
            bus.publish(ODOM, data)
        until(lambda: count(path) == 100, "100 messages in the file")
        code, out = recording.end(number)
    assert code == 0, recording.stderr
    assert payloads(path) == sent
    assert not list(tmp_path.glob("walk.db-*")), "one self-contained file"
    (header, odom) = out.splitlines()
    assert header.split() == [
        "topic",
        "type",
        "received",
        "written",
        *["rate", "bytes", "gap", "dropped"],
    ]
    assert odom.split()[:4] == ["/odom", "geometry_msgs.PoseStamped", "100", "100"]
    first, *rest = recording.stderr.splitlines()
    assert first.startswith(f"Recording to {path} from LCM ")
    assert rest[0].startswith(f"{path}: 100 messages, ")
    assert rest[1] == "Nothing was lost"
    assert all(char.isprintable() or char == "\n" for char in out + recording.stderr)


def test_the_account_is_there_as_json(tmp_path: Path, bus: Bus, url: str) -> None:
    with publishing(bus, ODOM, "/other"):
        done = run(
            "record", tmp_path / "a.db", "/odom", "--bus", url, "--max-messages", "7", "--json"
        )
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert account["messages"] == 7
    assert account["reason"] == "max messages (7)"
    assert account["dropped"] == 0
    assert account["self_contained"] is True
    (topic,) = account["topics"]
    assert (topic["topic"], topic["type"]) == ("/odom", "geometry_msgs.PoseStamped")
    assert (topic["received"], topic["written"]) == (7, 7)
    assert topic["rate_hz"] > 0


def test_excluded_topics_are_not_recorded(tmp_path: Path, bus: Bus, url: str) -> None:
    with publishing(bus, "/a/keep", "/a/leave"):
        run("record", tmp_path / "a.db", "/a/*", "-x", "/a/leave", "--bus", url, "--max-messages=5")
    with RecordReplay(tmp_path / "a.db") as rec:
        assert list(rec.topics) == ["/a/keep"]


def test_sessions_are_added_and_files_replaced_only_when_asked(
    tmp_path: Path, bus: Bus, url: str
) -> None:
    path = tmp_path / "a.db"
    command = ("record", path, "--bus", url, "--max-messages", "5")
    with publishing(bus, "/a"):
        codes = [run(*command, *more).returncode for more in ((), ("--append",), ())]
        assert codes == [0, 0, 3]
        assert len(payloads(path, "/a")) == 10
        assert run(*command, "--overwrite").returncode == 0
    assert len(payloads(path, "/a")) == 5


def test_a_recording_is_split_into_segments(tmp_path: Path, bus: Bus, url: str) -> None:
    folder = tmp_path / "long"
    with Running("record", folder, "--bus", url, "--split", "100KB") as recording:
        recording.wait_for("Recording to")
        with publishing(bus, "/large#geometry_msgs.PoseStamped"):
            until(lambda: len(list(folder.glob("*.db"))) >= 3, "three segments")
        code, _ = recording.end(signal.SIGINT)
    assert code == 0
    assert " segments in " in recording.stderr
    assert run("info", folder).returncode == 0


def test_when_nothing_came_it_says_where_it_listened(tmp_path: Path, url: str) -> None:
    done = run("record", tmp_path / "a.db", "--bus", url, "--duration", "0.2s")
    assert done.returncode == 0
    assert done.stdout == ""
    assert "No message arrived on LCM 239.255.76.67:" in done.stderr


def test_a_topic_is_stored_with_the_codec_of_the_first_pattern_that_matches(
    tmp_path: Path, bus: Bus, url: str
) -> None:
    command = ("record", tmp_path / "a.db", "--bus", url, "--max-messages", "20")
    with publishing(bus, ODOM, "/plain"):
        run(*command, "--codec", "/odom=lz4+lcm", "--codec", "*=lcm")
    with RecordReplay(tmp_path / "a.db") as rec:
        codecs = {topic: rec.topics[topic].info.codec for topic in rec.topics}
    assert codecs == {"/odom": "lz4+lcm", "/plain": "lcm"}


def test_in_a_terminal_a_line_shows_the_progress_and_is_gone_at_the_end(
    tmp_path: Path, bus: Bus, url: str
) -> None:
    with Terminal(tmp_path) as terminal, publishing(bus, ODOM):
        terminal.run([*CLI, "record", tmp_path / "a.db", "--bus", url])
        terminal.wait_for(r"^0:0\d\.\d  [\d,]+ messages  1?\d\d/s  .* buffer 0%")
        terminal.press("C-c")
        terminal.wait_for("Nothing was lost")
        assert "buffer" not in terminal.screen
        assert "/odom" in terminal.screen


# --- losses and full disks


LOSING = """
import sys
from dimos_record.record import buffer
from dimos_record.cli.main import main
accept = buffer.TapBuffer.tap
def tap(self, arrivals):
    if self._bytes_in and not self.dropped:
        self.dropped[arrivals[0][1]] = 1
        arrivals = arrivals[1:]
    accept(self, arrivals)
buffer.TapBuffer.tap = tap
sys.argv[0] = "dimos-record"
main()
"""


def record_with(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CLI[0], "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), MessagesLost.exit_code)])
def test_what_was_dropped_is_told_and_strict_makes_it_an_error(
    tmp_path: Path, bus: Bus, url: str, options: tuple[str, ...], code: int
) -> None:
    path = tmp_path / "a.db"
    with publishing(bus, ODOM):
        done = record_with(LOSING, "record", path, "--bus", url, "--max-messages", "20", *options)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[1].split()[2:4] == ["21", "20"]
    assert done.stdout.splitlines()[1].split()[-1] == "1"
    assert "LOST: 1 messages were dropped" in done.stderr
    assert ("error: " in done.stderr) is bool(options)
    assert len(payloads(path)) == 20


FULL_DISK = """
import sys
from dimos_record.store.writer import RecordingWriter
from dimos_record.cli.main import main
write = RecordingWriter.write
def write_less(self, batch):
    self.connection.execute("PRAGMA max_page_count=40")
    write(self, batch)
RecordingWriter.write = write_less
sys.argv[0] = "dimos-record"
main()
"""


def test_when_the_disk_is_full_the_account_says_what_is_safe(
    tmp_path: Path, bus: Bus, url: str
) -> None:
    path = tmp_path / "a.db"
    with publishing(bus, "/large#geometry_msgs.PoseStamped", *(f"/other{i}" for i in range(60))):
        done = record_with(FULL_DISK, "record", path, "--bus", url)
    assert done.returncode == DiskFull.exit_code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "full" in errors[0]
    assert "Traceback" not in done.stderr
    assert run("info", path).returncode == 0


def test_it_stops_before_the_disk_is_full(tmp_path: Path, bus: Bus, url: str) -> None:
    free_bytes = shutil.disk_usage(tmp_path).free
    refused = run("record", tmp_path / "a.db", "--bus", url, "--min-free", f"{free_bytes + 10**12}")
    assert refused.returncode == DiskFull.exit_code
    assert refused.stderr.startswith("error: ")
    assert not (tmp_path / "a.db").exists()


NEARLY_FULL = """
import sys
from dimos_record.record import keeper
from dimos_record.cli.main import main
rooms = iter([10**12])
keeper.FileKeeper.room = lambda self: next(rooms, 0)
sys.argv[0] = "dimos-record"
main()
"""


def test_a_disk_that_fills_up_ends_it_with_a_complete_file(
    tmp_path: Path, bus: Bus, url: str
) -> None:
    path = tmp_path / "a.db"
    with publishing(bus, ODOM):
        done = record_with(NEARLY_FULL, "record", path, "--bus", url)
    assert done.returncode == DiskFull.exit_code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "nearly full" in errors[0]
    assert "/odom" in done.stdout
    assert payloads(path)
    assert not list(tmp_path.glob("a.db-*"))


# --- topics


def test_topics_lists_what_is_published(bus: Bus, url: str) -> None:
    with publishing(bus, ODOM, "/raw", "/new#acme_msgs.Gripper"):
        done = run("topics", "--bus", url, "--duration", "0.5s", "--json")
        table = run("topics", "--bus", url, "--duration", "0.5s", "-x", "/raw")
    topics = {one["topic"]: one for one in json.loads(done.stdout)}
    assert set(topics) == {"/odom", "/raw", "/new"}
    assert topics["/odom"]["type"] == "geometry_msgs.PoseStamped"
    assert [topics[name]["type_known"] for name in ("/odom", "/raw", "/new")] == [
        True,
        False,
        False,
    ]
    assert topics["/odom"]["mean_bytes"] == len(encode(pose_at(0)))
    assert topics["/odom"]["messages"] > 0
    assert topics["/odom"]["rate_hz"] > 0
    assert table.returncode == 0
    header, new, odom = table.stdout.splitlines()
    assert header.split()[:4] == ["topic", "type", "rate", "bandwidth"]
    assert new.split()[:3] == ["/new", "acme_msgs.Gripper,", "unknown"]
    assert odom.split()[:2] == ["/odom", "geometry_msgs.PoseStamped"]


def test_topics_says_when_nothing_was_heard(url: str) -> None:
    done = run("topics", "--bus", url, "--duration", "0.1s")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("Nothing was heard on LCM ")


def test_topics_is_renewed_in_a_terminal_until_ctrl_c(tmp_path: Path, bus: Bus, url: str) -> None:
    with Terminal(tmp_path) as terminal:
        with publishing(bus, ODOM):
            terminal.run([*CLI, "topics", "--bus", url])
            terminal.wait_for(r"^/odom .* Hz")
            with publishing(bus, "/later"):
                terminal.wait_for(r"^/later .* Hz")
        terminal.press("C-c")
        terminal.wait_for(r"^\$")
        assert terminal.screen.count("/odom") == 1, "one table is left"

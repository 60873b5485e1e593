"""What a session is told about the program that it records, and writes down."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Selection, open_bus
from dimos_record.errors import MissingExtra
from dimos_record.record.options import RecordOptions
from dimos_record.record.origin import Origin
from dimos_record.record.session import RecordingSession
from dimos_record.store.base import LogLine, StreamSource
from dimos_record.store.reader import RecordingReader
from dimos_record.store.target import open_target

URL = "memory://origin"


def record(path: Path, origin: Origin, *channels: str, append: bool = False) -> None:
    with open_bus(URL) as bus:
        target = open_target(path, append=append)
        with RecordingSession(bus, target, Selection.of(), RecordOptions(), origin):
            for channel in channels:
                bus.publish(channel, b"\x80\x04N.")


def test_streams_say_which_module_and_bus_they_come_from(tmp_path: Path) -> None:
    origin = Origin(sources={"/odom": StreamSource("zenoh://", "robot1/driver")})
    record(tmp_path / "walk.db", origin, "/odom", "/other")
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        odom, other = reader.find("/odom"), reader.find("/other")
    assert (odom.module, odom.bus) == ("robot1/driver", "zenoh://")
    assert (other.module, other.bus) == (None, URL)


def test_a_module_that_is_known_late_is_written_down_at_the_end(tmp_path: Path) -> None:
    origin = Origin(sources={"/odom": StreamSource(URL)})
    with open_bus(URL) as bus:
        target = open_target(tmp_path / "walk.db")
        with RecordingSession(bus, target, Selection.of(), RecordOptions(), origin):
            bus.publish("/odom", b"1")
            origin.sources["/odom"] = StreamSource(URL, "driver")
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert reader.find("/odom").module == "driver"


def test_what_only_python_reads_is_added_to_its_stream(tmp_path: Path) -> None:
    origin = Origin(sources={"/note": StreamSource(URL, codec="pickle", payload="builtins.dict")})
    for append in (False, True):
        record(tmp_path / "walk.db", origin, "/note", append=append)
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert {info.name: info.codec for info in reader.streams.values()} == {"note": "pickle"}
        assert [row.id for row in reader.rows("note")] == [1, 2]


def test_the_log_is_written_down_to_its_last_line(tmp_path: Path) -> None:
    lines = [LogLine(i, "info", "me.py", f"line {i}") for i in range(3)]
    waiting = [lines[:2], lines[2:]]
    origin = Origin(log=lambda: waiting.pop(0) if waiting else [])
    record(tmp_path / "walk.db", origin)
    record(tmp_path / "walk.db", Origin(log=lambda: waiting.pop() if waiting else []), append=True)
    with RecordReplay(tmp_path / "walk.db") as rec:
        assert rec.log() == lines


def test_a_long_log_is_read_page_by_page(tmp_path: Path) -> None:
    waiting = [[LogLine(i, None, None, str(i)) for i in range(10_000)]]
    record(tmp_path / "walk.db", Origin(log=lambda: waiting.pop() if waiting else []))
    with RecordReplay(tmp_path / "walk.db") as rec:
        assert [one.ts_ns for one in rec.log()] == list(range(10_000))


def test_segments_have_one_log(tmp_path: Path) -> None:
    for i in range(2):
        origin = Origin(log=iter([[LogLine(i, None, None, str(i))], [], []]).__next__)
        with open_bus(URL) as bus:
            target = open_target(tmp_path / "walk", split=True, append=bool(i))
            with RecordingSession(bus, target, Selection.of(), RecordOptions(), origin):
                pass
    with RecordReplay(tmp_path / "walk") as rec:
        assert [one.line for one in rec.log()] == ["0", "1"]


def test_modules_without_dimos_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dimos_record.recording.importlib.util.find_spec", lambda name: None)
    rec = RecordReplay(tmp_path / "walk.db")
    for method in (rec.add_module, rec.remove_module, rec.record_blueprint):
        with pytest.raises(MissingExtra, match=r"dimos-record\[dimos\]"):
            method(object())

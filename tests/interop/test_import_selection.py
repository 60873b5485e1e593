"""Importing topics and a section of any source, with what belongs to its messages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from dimos_record import RecordReplay
from dimos_record.errors import EditError, NotARecording, OptionError, UnknownTopic
from dimos_record.interop import formats
from dimos_record.interop.importing import ImportedMessage, Problem, Wanted, import_file
from dimos_record.store.base import Marker
from dimos_record.store.observation import Meta, Pose

S = 1_000_000_000
T0 = 1_700_000_000 * S


class Source:
    """`/odom` at 1 Hz, with a pose and a tag on the fourth; state at 0 s and 2 s; markers."""

    unit: Literal["messages", "bytes"] = "messages"
    latched = frozenset({"/rules"})
    start_ns = T0
    total = 14

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = 0
        self.problems: list[Problem] = []
        self.markers = [
            Marker(7, T0 + 1 * S, "one"),
            Marker(8, T0 + 2 * S, "lap", T0 + 5 * S, {"n": 1}),
            Marker(9, T0 + 9 * S, "nine"),
        ]
        self.closed = False

    def messages(self, wanted: Wanted) -> Iterator[ImportedMessage]:
        for message in self._all():
            self.done += 1
            latched = message.topic != "/odom"
            if wanted.topic(message.topic, message.type_name) and wanted.time(
                message.ts_ns, latched=latched
            ):
                yield message

    def _all(self) -> Iterator[ImportedMessage]:
        for i in range(10):
            at = T0 + i * S
            meta = Meta(Pose(1.0, 2.0, 3.0), {"good": True}) if i == 4 else None
            yield ImportedMessage("/odom", "nav_msgs.Odometry", b"%d" % i, at, at, meta=meta)
            if i in (0, 2):
                yield ImportedMessage("/map", "nav_msgs.OccupancyGrid", b"m%d" % i, at, at)
                yield ImportedMessage("/rules", None, b"r%d" % i, at, at - 5, "RULES")

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "open_source", lambda path, format: ("mine", Source(path)))


def rows(path: Path) -> list[tuple[float, str, bytes]]:
    """Seconds from the start, topic and bytes."""
    with RecordReplay(path) as rec:
        return [((row.ts_ns - T0) / S, row.stream.topic, row.data) for row in rec.view().rows()]


def test_everything_is_imported_with_what_belongs_to_it(tmp_path: Path) -> None:
    report = import_file("source", tmp_path / "a.db")
    assert (report.format, report.count, report.problems) == ("mine", 14, ())
    with RecordReplay(tmp_path / "a.db") as rec:
        fourth = rec.streams.odom.to_list()[4]
        assert (fourth.pose, dict(fourth.tags)) == (Pose(1.0, 2.0, 3.0), {"good": True})
        assert rec.streams.rules.first().tags == {"publish_ns": T0 - 5}
        rules = rec.reader.find("/rules")
        assert (rules.channel, rules.latched) == ("RULES", True)
        found = [(one.at_ns, one.until_ns, one.label, one.data) for one in rec.markers]
    assert found == [
        (T0 + 1 * S, None, "one", None),
        (T0 + 2 * S, T0 + 5 * S, "lap", {"n": 1}),
        (T0 + 9 * S, None, "nine", None),
    ]


def test_a_section_begins_with_what_latched_topics_said_before(tmp_path: Path) -> None:
    report = import_file("source", tmp_path / "a.db", section=(4.5, 7))
    assert report.count == 4
    assert rows(tmp_path / "a.db") == [
        (4.5, "/map", b"m2"),
        (4.5, "/rules", b"r2"),
        (5.0, "/odom", b"5"),
        (6.0, "/odom", b"6"),
    ]
    with RecordReplay(tmp_path / "a.db") as rec:
        assert [marker.label for marker in rec.markers] == ["lap"]


def test_topics_are_chosen_and_left_out(tmp_path: Path) -> None:
    report = import_file("source", tmp_path / "a.db", topics=["/o*", "/map"], exclude="/map")
    assert {one.topic for one in report.topics} == {"/odom"}
    with pytest.raises(UnknownTopic, match="'/nope'; it has /map, /odom, /rules"):
        import_file("source", tmp_path / "b.db", topics=["/odom", "/nope"])
    assert not (tmp_path / "b.db").exists()


def test_what_is_appended_keeps_the_markers_that_are_there(tmp_path: Path) -> None:
    for _ in range(2):
        import_file("source", tmp_path / "a.db", section=(3, None), append=True)
    with RecordReplay(tmp_path / "a.db") as rec:
        assert sorted(marker.label for marker in rec.markers) == ["lap", "lap", "nine", "nine"]
        assert len({marker.id for marker in rec.markers}) == 4
        assert len(rec.reader.sessions()) == 2


@pytest.mark.parametrize("append", [True, False])
def test_a_section_without_a_message_changes_nothing(tmp_path: Path, append: bool) -> None:
    import_file("source", tmp_path / "a.db")
    before = rows(tmp_path / "a.db")
    with pytest.raises(EditError, match="no message in the section"):
        import_file(
            "source", tmp_path / "a.db", section=(100, 200), append=append, overwrite=not append
        )
    with pytest.raises(OptionError, match="the end comes after the start"):
        import_file("source", tmp_path / "a.db", section=(5, 5), append=True)
    with pytest.raises(OptionError, match="nan is no time"):
        import_file("source", tmp_path / "a.db", section=(float("nan"), None), append=True)
    assert rows(tmp_path / "a.db") == before


def test_what_a_killed_import_left_is_cleaned_up(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f".a.db.saving-{ended.pid}{suffix}").write_text("half of it")
    import_file("source", tmp_path / "a.db")
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_formats_are_told_by_their_content(tmp_path: Path) -> None:
    log = tmp_path / "notes.mcap"
    log.write_bytes(b"\xed\xa1\xda\x01" + bytes(100))
    assert formats.recognise(log).name == "lcm"
    log.write_bytes(b"\x89MCAP0\r\n")
    assert formats.recognise(log.rename(tmp_path / "a.lcm")).name == "mcap"
    (tmp_path / "damaged.bag").write_bytes(bytes(1000))
    assert formats.recognise(tmp_path / "damaged.bag").name == "bag"
    (tmp_path / "text").write_text("no format at all")
    with pytest.raises(NotARecording, match="these can be: mcap, lcm, bag, parquet"):
        formats.recognise(tmp_path / "text")
    with RecordReplay(tmp_path / "a.db") as rec:
        rec.stream("odom").append(b"", ts_ns=1)
    with pytest.raises(NotARecording, match="a recording needs no import"):
        formats.recognise(tmp_path / "a.db")
    (tmp_path / "segments").mkdir()
    (tmp_path / "a.db").rename(tmp_path / "segments" / "segment-00001.db")
    with pytest.raises(NotARecording, match="a recording needs no import"):
        formats.recognise(tmp_path / "segments")
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotARecording, match=r"metadata\.yaml"):
        formats.recognise(tmp_path / "folder")

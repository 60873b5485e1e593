"""Importing MCAP files into recordings, completely or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from dimos_lcm.std_msgs import String

from dimos_record import RecordReplay
from dimos_record.errors import (
    DecodeError,
    NotARecording,
    RecordingBusy,
    RecordingDamaged,
    RecordingExists,
    StorageError,
)
from dimos_record.interop.importing import import_file

from .ros2_files import Recorded, cdr, write_mcap

pytestmark = pytest.mark.once

NOW_NS = 1_700_000_000_123_456_789
GRIPPER = {"header": {"stamp": {"sec": 1, "nanosec": 2}, "frame_id": ""}, "width": 0.1}


def text(data: str, ts_ns: int = NOW_NS, topic: str = "/chat", **more: object) -> Recorded:
    return Recorded(topic, "std_msgs/String", cdr("std_msgs/String", {"data": data}), ts_ns, **more)


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    """3,000 texts, received 7 ns after they were published."""
    texts = [text(str(i), NOW_NS + i) for i in range(3000)]
    return write_mcap(tmp_path / "chat.mcap", texts)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_message_arrives_with_its_times_to_the_nanosecond(chat: Path, tmp_path: Path) -> None:
    report = import_file(chat, tmp_path / "out.db")
    assert (report.path, report.count, report.total) == (tmp_path / "out.db", 3000, 3000)
    assert [(one.topic, one.type_name, one.count) for one in report.topics] == [
        ("/chat", "std_msgs.String", 3000)
    ]
    assert report.problems == ()
    with RecordReplay(tmp_path / "out.db") as rec:
        found = rec.streams.chat.to_list()
        assert [one.data.data for one in found] == [str(i) for i in range(3000)]
        assert [one.ts_ns for one in found] == [NOW_NS + i for i in range(3000)]
        assert [one.tags["publish_ns"] for one in found] == [NOW_NS + i - 7 for i in range(3000)]
        assert [one.seq for one in found] == list(range(1, 3001))
        assert rec.reader.self_contained
        (session,) = rec.reader.sessions()
    assert session.meta["imported_from"] == str(chat)
    assert (session.start_ns, session.stop_ns) == (NOW_NS, NOW_NS + 2999)
    assert (session.state, session.reason) == ("finished", "imported")
    assert session.accounts["chat"].written == 3000
    assert {path.name for path in tmp_path.iterdir()} == {"chat.mcap", "out.db"}


def test_a_publish_time_is_kept_only_where_it_differs(tmp_path: Path) -> None:
    from mcap.writer import Writer

    from .ros2_files import definition

    with (tmp_path / "a.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start(profile="ros2")
        schema = writer.register_schema(
            "std_msgs/msg/String", "ros2msg", definition("std_msgs/String").encode()
        )
        channel = writer.register_channel("/chat", "cdr", schema)
        data = cdr("std_msgs/String", {"data": "x"})
        for i in range(5):
            writer.add_message(channel, NOW_NS + i, data, NOW_NS + i - (i == 2))
        writer.finish()
    import_file(tmp_path / "a.mcap", tmp_path / "out.db")
    with RecordReplay(tmp_path / "out.db") as rec:
        found = rec.streams.chat.to_list()
        assert [one.ts_ns for one in found] == [NOW_NS + i for i in range(5)]
        assert [dict(one.tags) for one in found] == [
            {"publish_ns": NOW_NS + 1} if i == 2 else {} for i in range(5)
        ]


def test_latched_topics_stay_latched(tmp_path: Path) -> None:
    latched = (("offered_qos_profiles", "- durability: transient_local"),)
    messages = [text("a", topic="/plain"), text("b", topic="/stays", metadata=latched)]
    import_file(write_mcap(tmp_path / "a.mcap", messages), tmp_path / "out.db")
    with RecordReplay(tmp_path / "out.db") as rec:
        assert not rec.topics["/plain"].info.latched
        assert rec.topics["/stays"].info.latched


def test_what_cannot_be_converted_is_listed(tmp_path: Path) -> None:
    gripper = Recorded("/grip", "acme_msgs/Gripper", cdr("acme_msgs/Gripper", GRIPPER), NOW_NS)
    source = write_mcap(tmp_path / "a.mcap", [text("a"), gripper, gripper])
    report = import_file(source, tmp_path / "out.db")
    assert (report.count, report.total) == (1, 3)
    (problem,) = report.problems
    assert (problem.topic, problem.count, problem.imported) == ("/grip", 2, False)


def test_a_file_of_which_nothing_can_be_converted_leaves_nothing(tmp_path: Path) -> None:
    gripper = Recorded("/grip", "acme_msgs/Gripper", cdr("acme_msgs/Gripper", GRIPPER), NOW_NS)
    source = write_mcap(tmp_path / "a.mcap", [gripper])
    with pytest.raises(DecodeError, match="acme_msgs"):
        import_file(source, tmp_path / "out.db")
    assert {path.name for path in tmp_path.iterdir()} == {"a.mcap"}


def test_an_empty_file_becomes_an_empty_recording(tmp_path: Path) -> None:
    report = import_file(write_mcap(tmp_path / "a.mcap", []), tmp_path / "out.db")
    assert report.count == 0
    with RecordReplay(tmp_path / "out.db") as rec:
        assert list(rec.topics) == []


class Cancelled(Exception):
    """Somebody changed their mind."""


def cancel(done: int, total: int) -> None:
    assert 0 < done <= total
    raise Cancelled


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"append": True}])
def test_an_import_that_is_cancelled_leaves_everything_as_it_was(
    chat: Path, tmp_path: Path, options: dict[str, bool]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with RecordReplay(folder / "other.db") as rec:
        rec.stream("chat", type_name="std_msgs.String").append(String(data="old"), ts_ns=1)
    if options:
        (folder / "other.db").rename(folder / "out.db")
    with pytest.raises(Cancelled):
        import_file(chat, folder / "out.db", on_progress=cancel, **options)
    (path,) = folder.iterdir()
    with RecordReplay(path) as rec:
        assert [one.data.data for one in rec.streams.chat] == ["old"]
        assert rec.reader.self_contained
        assert rec.reader.sessions() == []
    if options:
        assert import_file(chat, folder / "out.db", **options).count == 3000


def test_a_damaged_file_leaves_everything_as_it_was(chat: Path, tmp_path: Path) -> None:
    from mcap.writer import CompressionType

    import_file(chat, tmp_path / "out.db")
    texts = [text(str(i), NOW_NS + i) for i in range(3000)]
    damaged = write_mcap(tmp_path / "damaged.mcap", texts, compression=CompressionType.NONE)
    damaged.write_bytes(damaged.read_bytes().replace(b"2500\0", b"25x0\0"))
    before = files(tmp_path)
    for name, options in (
        ("new.db", {}),
        ("out.db", {"overwrite": True}),
    ):
        with pytest.raises(RecordingDamaged):
            import_file(damaged, tmp_path / name, **options)
        assert files(tmp_path) == before


def test_a_session_is_added_to_an_existing_recording(chat: Path, tmp_path: Path) -> None:
    import_file(chat, tmp_path / "out.db")
    import_file(chat, tmp_path / "out.db", append=True)
    with RecordReplay(tmp_path / "out.db") as rec:
        assert rec.topics.chat.count == 6000
        assert len(rec.reader.sessions()) == 2
        assert rec.reader.self_contained
        assert len({one.seq for one in rec.streams.chat}) == 6000


def test_what_exists_is_replaced_only_when_asked(chat: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    import_file(chat, path)
    with pytest.raises(RecordingExists):
        import_file(chat, path)
    assert import_file(chat, path, overwrite=True).count == 3000
    with RecordReplay(path) as rec:
        assert rec.topics.chat.count == 3000


def test_only_recordings_that_nobody_writes_to_are_ever_replaced(
    chat: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("notes" * 100)
    with pytest.raises(NotARecording):
        import_file(chat, tmp_path / "notes.txt", overwrite=True)
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecordingExists):
        import_file(chat, tmp_path / "folder", overwrite=True)
    with pytest.raises(StorageError):
        import_file(chat, tmp_path / "missing" / "out.db")
    with RecordReplay(tmp_path / "busy.db", bus="memory://importing") as rec, rec.recording():
        for options in ({"overwrite": True}, {"append": True}):
            with pytest.raises(RecordingBusy):
                import_file(chat, tmp_path / "busy.db", **options)


def test_progress_is_told_up_to_the_end(chat: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    import_file(
        chat, tmp_path / "out.db", on_progress=lambda done, total: told.append((done, total))
    )
    assert told == sorted(told)
    assert told[-1] == (3000, 3000)

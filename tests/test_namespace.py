from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record import MemoryStore, RecordReplay
from dimos_record.errors import RecordingNotFound, UnknownTopic
from dimos_record.store.queries import StreamQuery
from dimos_record.store.summary import Topic

AWKWARD = ["start", "stop", "items", "keys", "append", "names", "find", "class", "_private"]
TOPICS = ["/odom", "/robot1/odom", "/camera-front/color", *(f"/{name}" for name in AWKWARD)]


@pytest.fixture
def rec() -> Iterator[RecordReplay]:
    store = MemoryStore()
    with RecordReplay(store=store) as rec:
        for number, topic in enumerate(TOPICS):
            rec.stream(topic).append(b"%d" % number)
        yield rec
    store.close()


def test_iteration_gives_topics_of_topics_and_names_of_streams(rec: RecordReplay) -> None:
    assert list(rec.topics) == TOPICS
    assert list(rec.streams)[:3] == ["odom", "robot1__odom", "camera_front__color"]
    assert len(rec.topics) == len(rec.streams) == len(TOPICS)


def test_items_are_found_by_topic_by_stream_and_without_the_first_slash(rec: RecordReplay) -> None:
    for name in ("/robot1/odom", "robot1/odom", "robot1__odom"):
        assert rec.topics[name].name == "/robot1/odom"
        assert rec.streams[name].first().raw == b"1"
        assert name in rec.topics
        assert name in rec.streams
    assert rec.streams.robot1__odom.first().raw == b"1"
    assert rec.topics.camera_front__color.name == "/camera-front/color"


@pytest.mark.parametrize("name", AWKWARD)
def test_no_name_is_taken_by_a_method(rec: RecordReplay, name: str) -> None:
    assert getattr(rec.topics, name).name == f"/{name}"
    assert getattr(rec.streams, name).count() == 1
    assert isinstance(rec.topics[name], Topic)
    assert isinstance(rec.streams[name], StreamQuery)


def test_names_of_python_itself_are_reachable_as_items(rec: RecordReplay) -> None:
    rec.stream("__class__").append(b"a stream")
    assert rec.streams["__class__"].first().raw == b"a stream"
    assert "__class__" in rec.streams
    assert rec.streams.__class__.__name__ == "Namespace"
    with pytest.raises(AttributeError):
        _ = rec.streams.__length_hint__


def test_tab_completion_offers_every_name_that_works_as_an_attribute(rec: RecordReplay) -> None:
    for space in (rec.topics, rec.streams):
        offered = dir(space)
        assert set(offered) == set(rec.streams)
        assert all(hasattr(space, name) for name in offered)


def test_unknown_names_say_what_there_is(rec: RecordReplay) -> None:
    assert "lidar" not in rec.topics
    assert 5 not in rec.topics
    with pytest.raises(UnknownTopic, match=r"no topic 'lidar'; it has: .*/odom"):
        _ = rec.streams["lidar"]
    with pytest.raises(AttributeError, match=r"no topic 'lidar'; it has: .*/odom"):
        _ = rec.topics.lidar
    assert not hasattr(rec.streams, "lidar")
    assert getattr(rec.streams, "lidar", None) is None


def test_it_shows_its_names(rec: RecordReplay) -> None:
    assert repr(rec.topics).startswith("</odom, /robot1/odom, ")
    assert repr(rec.streams).startswith("<odom, robot1__odom, ")


def test_before_anything_is_recorded_only_what_is_for_people_works(tmp_path: Path) -> None:
    rec = RecordReplay(tmp_path / "new.db")
    for space in (rec.topics, rec.streams):
        assert dir(space) == []
        assert "no recording" in repr(space)
        with pytest.raises(RecordingNotFound, match=r"new\.db"):
            list(space)
        with pytest.raises(RecordingNotFound, match=r"new\.db"):
            _ = space.odom
    assert list(tmp_path.iterdir()) == []


def test_topics_appear_while_they_are_recorded(rec: RecordReplay) -> None:
    rec.stream("late").append(b"1")
    assert "/late" in rec.topics
    assert rec.streams.late.count() == 1


def test_a_copy_names_the_same(rec: RecordReplay) -> None:
    assert list(copy.copy(rec.streams)) == list(rec.streams)

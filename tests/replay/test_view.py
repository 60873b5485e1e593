from __future__ import annotations

import dataclasses
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dimos_lcm.geometry_msgs import Point, Pose, PoseStamped, Quaternion
from dimos_lcm.std_msgs import Header, String, Time

from dimos_record import MemoryStore, RecordReplay
from dimos_record.bus import open_bus
from dimos_record.errors import (
    CodecError,
    NotARecording,
    OptionError,
    PatternError,
    RecordingExists,
    UnknownTopic,
)
from dimos_record.messages import fingerprint
from dimos_record.replay.view import ReplayView
from dimos_record.store.observation import Observation
from dimos_record.testing import Collector, free_lcm_url
from tests.store.dimos_files import ALL, UNKNOWN_CODEC, write_dimos_file

S = 1_000_000_000
T0 = 1_700_000_000 * S


def pose(x: float, sec: int) -> Any:
    return PoseStamped(
        header=Header(stamp=Time(sec=sec), frame_id="map"),
        pose=Pose(position=Point(x=x), orientation=Quaternion(w=1.0)),
    )


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[RecordReplay]:
    """Twelve messages, one a second: on /a, /b and /a again ..., and poses on /odom between."""
    with (
        open_bus(f"memory://{os.urandom(4).hex()}") as bus,
        RecordReplay(tmp_path / "walk.db", bus=bus) as rec,
    ):
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        for i in range(12):
            rec.stream("ab"[i % 2]).append(
                b"%d" % i, ts_ns=T0 + i * S, pose=(i, 0, 0), tags={"n": i, "even": i % 2 == 0}
            )
            odom.append(pose(i, 100 + i), ts_ns=T0 + i * S + S // 2)
        rec.stream("map", topic="/map", latched=True).append(b"the map", ts_ns=T0 + S // 4)
        yield rec


def raws(view: ReplayView) -> list[bytes]:
    """The payloads of a view, after a check that all ways to get them agree."""
    found = [one.raw for one in view]
    assert view.count() == len(found)
    rows = list(view.rows())
    assert [row.data for row in rows] == found
    assert list(view.rows(reverse=True)) == rows[::-1]
    return found


def numbers(view: ReplayView) -> list[int]:
    return list(map(int, raws(view.select(["/a", "/b"]))))


# --- which messages


def test_all_messages_come_in_the_order_of_time(rec: RecordReplay) -> None:
    assert numbers(rec.view()) == list(range(12))
    times = [one.ts_ns for one in rec.view()]
    assert times == sorted(times)
    assert rec.view().count() == 25


def test_topics_are_selected_and_left_out(rec: RecordReplay) -> None:
    assert raws(rec.select("/b")) == [b"1", b"3", b"5", b"7", b"9", b"11"]
    assert rec.select("*", exclude="/odom").count() == 13
    assert rec.select(["/a", "map"]).count() == 7
    assert raws(rec.select("/a").select("/map")) == [b"the map"]
    with pytest.raises(PatternError):
        rec.select("/a[")
    with pytest.raises(UnknownTopic, match="'/lidar'; it has /a, /b"):
        rec.select("/lidar").count()


def test_sections_are_half_open_and_in_seconds_of_the_recording(rec: RecordReplay) -> None:
    assert numbers(rec.between(2, 5)) == [2, 3, 4]
    assert numbers(rec.between(None, 3)) == [0, 1, 2]
    assert numbers(rec.between(10, None)) == [10, 11]
    assert numbers(rec.between(10, math.inf)) == [10, 11]
    assert numbers(rec.between(2, 8).between(4, 20)) == [4, 5, 6, 7]
    assert numbers(rec.view().seek(9)) == [9, 10, 11]
    assert numbers(rec.between(2, 8).seek(6)) == [6, 7]
    assert numbers(rec.between(100, 200)) == []


@pytest.mark.parametrize(
    ("a", "b"),
    [(5, 5), (5, 4), (0, -1), (math.nan, None), (1, math.nan), (math.inf, None), (None, 1e300)],
)
def test_a_section_that_is_none_is_refused(
    rec: RecordReplay, a: float | None, b: float | None
) -> None:
    with pytest.raises(OptionError, match=r"between\("):
        rec.between(a, b)


def test_a_section_outside_of_the_one_before_is_refused(rec: RecordReplay) -> None:
    with pytest.raises(OptionError, match="of a view from 2 to 4 is empty"):
        rec.between(2, 4).between(4, 6)


def test_messages_are_found_by_place_and_by_tags(rec: RecordReplay) -> None:
    assert numbers(rec.near((3, 0, 0), 1)) == [2, 3, 4]
    assert numbers(rec.tags(even=True).between(2, 7)) == [2, 4, 6]
    assert numbers(rec.between(2, 7).tags(even=True).near((5, 0, 0), 1.5)) == [4, 6]
    with pytest.raises(OptionError, match="not a pose"):
        rec.near("here", 1)
    with pytest.raises(OptionError, match="not a name"):
        rec.tags(**{"a b": 1})


def test_place_and_tags_count_as_the_operators_before_have_made_them(rec: RecordReplay) -> None:
    moved = rec.map(lambda one: one.with_pose((one.pose.x + 100, 0, 0)) if one.pose else one)
    assert numbers(moved.near((103, 0, 0), 1)) == [2, 3, 4]
    assert numbers(rec.map(lambda one: one.tag(late=one.id > 4)).tags(late=True)) == [8, 9, 10, 11]


# --- operators


def test_every_counts_per_stream(rec: RecordReplay) -> None:
    assert numbers(rec.every(3)) == [0, 1, 6, 7]
    assert numbers(rec.every(3, topics="/a")) == [0, 1, 3, 5, 6, 7, 9, 11]
    assert rec.every(1).count() == 25
    with pytest.raises(OptionError, match="every"):
        rec.every(0)


def test_throttle_keeps_a_rate_per_stream(rec: RecordReplay) -> None:
    assert numbers(rec.throttle(0.25)) == [0, 1, 4, 5, 8, 9]  # each topic comes every 2 s
    assert numbers(rec.throttle(0.5)) == list(range(12))
    assert numbers(rec.throttle(0.1, topics="/b")) == [0, 1, 2, 4, 6, 8, 10, 11]
    for rate in (0, -1, math.nan):
        with pytest.raises(OptionError, match="throttle"):
            rec.throttle(rate)


def test_operators_run_in_the_order_of_the_chain(rec: RecordReplay) -> None:
    a = rec.select("/a")
    assert numbers_of(a.filter(lambda one: int(one.raw) > 2).every(2)) == [4, 8]
    assert numbers_of(a.every(2).filter(lambda one: int(one.raw) > 2)) == [4, 8]
    assert numbers_of(a.filter(lambda one: int(one.raw) > 4).every(2)) == [6, 10]
    assert numbers_of(a.every(2).filter(lambda one: int(one.raw) > 4)) == [8]


def numbers_of(view: ReplayView) -> list[int]:
    return list(map(int, raws(view)))


def test_map_replaces_data_and_drops_with_none(rec: RecordReplay) -> None:
    def later(one: Observation) -> Observation | None:
        return one.derive(data=one.raw + b"!") if one.tags["even"] else None

    assert raws(rec.select("/*", exclude=["/odom", "/map"]).map(later)) == [
        b"%d!" % i for i in range(0, 12, 2)
    ]


def test_messages_may_be_replaced_or_changed_in_place(rec: RecordReplay) -> None:
    def replaced(one: Observation) -> Observation:
        return one.derive(data=pose(one.data.pose.position.x * 2, 5))

    def in_place(one: Observation) -> Observation:
        one.data.pose.position.x *= 2
        one.data.header.stamp.sec = 5
        return one

    odom = rec.select("/odom").between(0, 3)
    expected = [pose(2.0 * i, 5).lcm_encode() for i in range(3)]
    for change in (replaced, in_place):
        assert raws(odom.map(change)) == expected
        assert [one.stamp for one in odom.map(change)] == [5.0] * 3
    assert raws(odom.map(lambda one: one if one.data else None)) == raws(odom)


def test_transform_sees_the_whole_sequence(rec: RecordReplay) -> None:
    def difference(upstream: Iterator[Observation]) -> Iterator[Observation]:
        before = next(upstream)
        for one in upstream:
            yield one.derive(data=b"%d" % (int(one.raw) - int(before.raw)))
            before = one

    assert raws(rec.select("/a").transform(difference)) == [b"2"] * 5


def test_a_section_bounds_what_operators_see_but_seeking_does_not(rec: RecordReplay) -> None:
    a = rec.select("/a").every(2)
    assert numbers_of(a) == [0, 4, 8]
    assert numbers_of(a.between(2, None)) == [2, 6, 10]
    assert [row.data for row in a.rows(T0 + 2 * S)] == [b"4", b"8"]
    assert [row.data for row in a.rows(T0 + S, T0 + 8 * S)] == [b"4"]


# --- views themselves


def test_every_method_returns_another_view(rec: RecordReplay) -> None:
    view = rec.select(["/a", "/b"])
    before = dataclasses.replace(view)
    for made in (
        view.select("/a"),
        view.between(1, 2),
        view.seek(1),
        view.near((0, 0, 0), 1),
        view.tags(n=1),
        view.every(2),
        view.throttle(1),
        view.map(lambda one: one),
        view.filter(bool),
        view.transform(lambda upstream: upstream),
        view.remap({"/a": "/c"}),
        view.at_speed(2),
        view.looped(),
        view.restamped(),
    ):
        assert isinstance(made, ReplayView)
        assert made is not view
    assert view == before
    assert numbers(view) == list(range(12))
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.start_s = 5  # type: ignore[misc]


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    calls: list[Observation] = []
    rec = RecordReplay(tmp_path / "later.db")
    view = rec.near((1, 0, 0), 5).tags(n=1).map(lambda one: calls.append(one) or one).every(2)
    rec.stream("a").append(b"1", pose=(0, 0, 0), tags={"n": 1})
    assert calls == []
    assert [one.raw for one in view] == [b"1"]
    assert len(calls) == 1
    rec.close()


def test_only_what_is_needed_is_read(rec: RecordReplay) -> None:
    seen: list[bytes] = []
    iterator = iter(rec.select("/a").map(lambda one: seen.append(one.raw) or one))
    assert next(iterator).raw == b"0"
    assert seen == [b"0"]


def test_pose_and_tags_are_there_when_an_operator_asks(rec: RecordReplay) -> None:
    for one in rec.select(["/a", "/b"]):
        assert one.pose[:3] == (int(one.raw), 0, 0)
        assert one.tags == {"n": int(one.raw), "even": int(one.raw) % 2 == 0}
    assert next(iter(rec.select("/odom"))).pose is None


def test_a_view_can_be_observed(rec: RecordReplay) -> None:
    found: list[bytes] = []
    done = threading.Event()
    rec.select("/a").every(2).observable().subscribe(
        lambda one: found.append(one.raw), on_completed=done.set
    )
    assert done.wait(60)
    assert found == [b"0", b"4", b"8"]


# --- playing


def played(view: ReplayView, **options: Any) -> list[tuple[str, bytes]]:
    with Collector(view.recording.bus) as seen:
        view.play(math.inf, block=True, listen_s=0, **options)
        return seen.messages


def test_what_is_played_is_what_the_view_holds(rec: RecordReplay) -> None:
    view = rec.select(["/a", "/b"]).between(2, 9).every(2).map(lambda one: one)
    assert played(view) == [(one.topic, one.raw) for one in view]
    assert [data for _, data in played(rec.select("/a"))] == raws(rec.select("/a"))


def test_a_view_can_be_played_under_other_names_and_another_type(rec: RecordReplay) -> None:
    view = rec.select(["/a", "/odom"]).between(0, 1).remap({"/*": "/sim/*"})
    assert [channel for channel, _ in played(view)] == [
        "/sim/a",
        "/sim/odom#geometry_msgs.PoseStamped",
    ]
    text = rec.select("/odom").between(0, 1).map(lambda one: one.derive(data=String(data="hi")))
    assert played(text) == [("/odom#std_msgs.String", String(data="hi").lcm_encode())]
    assert played(text.remap(odom="/words"))[0][0] == "/words#std_msgs.String"


def test_options_of_a_view_and_of_play_go_together(rec: RecordReplay) -> None:
    view = rec.select("/a").at_speed(3).looped(2).between(1, 9)
    player = view.play(listen_s=0, paused=True)
    assert (player.rate, player.state) == (3, "paused")
    rec.stop_playback()
    assert view.play(5, listen_s=0, paused=True, loop=False).rate == 5
    rec.stop_playback()
    restamped = played(rec.select("/odom").between(0, 1).restamped())[0][1]
    assert restamped != pose(0, 100).lcm_encode()
    with pytest.raises(OptionError):
        rec.select("/a").at_speed(0)
    for section in ((5, 4), (0, 0), (None, 0)):
        with pytest.raises(OptionError):
            rec.select("/a").looped(*section)


def test_a_loop_without_an_end_goes_to_the_end(rec: RecordReplay) -> None:
    with Collector(rec.bus) as seen:
        rec.select("/a").looped(9).play(math.inf, listen_s=0)
        assert [data for _, data in seen.wait_for(3)][:3] == [b"10"] * 3
        rec.stop_playback()


@pytest.mark.parametrize("url", ["memory", "lcm"])
def test_a_view_is_paused_sought_and_stepped_like_a_recording(
    rec: RecordReplay, tmp_path: Path, url: str
) -> None:
    address = free_lcm_url() if url == "lcm" else "memory://stepped"
    rec.close()
    with (
        RecordReplay(tmp_path / "walk.db", bus=address) as rec,
        open_bus(address) as other,
        Collector(other) as seen,
    ):

        def step(move: Any, count: int) -> list[bytes]:
            before = len(seen.messages)
            assert move() == count
            return [data for _, data in seen.wait_for(before + count)[before:]]

        view = rec.select(["/a", "/b"]).filter(lambda one: int(one.raw) % 3 == 0).every(1)
        player = view.play(paused=True, listen_s=0)
        assert step(lambda: rec.play_next(3), 3) == [b"0", b"3", b"6"]
        assert step(lambda: rec.play_previous(2), 2) == [b"6", b"3"]
        assert step(rec.play_next, 1) == [b"3"]
        rec.seek(7)
        assert step(rec.play_previous, 1) == [b"6"]
        assert step(lambda: rec.play_next(100), 2) == [b"6", b"9"]
        assert step(lambda: rec.play_previous(100), 4) == [b"9", b"6", b"3", b"0"]
        player.set_rate(math.inf)
        rec.resume()
        assert player.wait(60)
        assert [data for _, data in seen.wait_for(17)][-4:] == [b"0", b"3", b"6", b"9"]


def test_stepping_back_is_the_same_with_operators_that_change_nothing(tmp_path: Path) -> None:
    with RecordReplay(store=MemoryStore(), bus="memory://back") as rec:
        # many at the same time, and more than are held while going backwards
        for i in range(200):
            rec.stream("xyz"[i % 3]).append(b"%d" % i, ts_ns=T0 + i // 5 * S)
        plain = rec.view()
        changed = plain.map(lambda one: one).every(1)
        assert list(changed.rows(reverse=True)) == list(plain.rows(reverse=True))
        steps = []
        for view in (plain, changed):
            with Collector(rec.bus) as seen:
                view.play(paused=True, listen_s=0)
                rec.seek(30)
                rec.play_next(3)
                rec.play_previous(170)
                rec.stop_playback()
                steps.append(seen.messages)
        assert steps[0] == steps[1]
        assert len(steps[0]) == 3 + 153


def test_the_state_before_a_section_goes_through_the_operators(rec: RecordReplay) -> None:
    view = rec.view().map(lambda one: one.derive(data=b"new map") if one.topic == "/map" else one)
    sent = played(view.between(5, 6))
    assert sent[0] == ("/map", b"new map")
    assert [data for _, data in sent[1:2]] == [b"5"]


# --- saving


def everything(rec: RecordReplay) -> list[tuple[Any, ...]]:
    return [(one.topic, one.ts_ns, one.stamp_ns, one.raw, one.pose, one.tags) for one in rec.view()]


def test_a_saved_view_has_the_same_messages_with_all_that_belongs_to_them(
    rec: RecordReplay, tmp_path: Path
) -> None:
    path = rec.view().save(tmp_path / "copy.db")
    assert path == tmp_path / "copy.db"
    with RecordReplay(path) as copy:
        assert everything(copy) == everything(rec)
        for name, topic in ((name, rec.topics[name]) for name in rec.topics):
            assert copy.topics[name].info == topic.info
        assert copy.topics["/map"].info.latched
        (session,) = copy.info().sessions
        assert session.meta["derived_from"] == str(tmp_path / "walk.db")
        assert copy.info().self_contained
        # and it can be added to
        assert copy.stream("a").append(b"more") == 7


def test_codecs_and_modules_are_kept(tmp_path: Path) -> None:
    from dimos_record.store.base import StreamInfo
    from dimos_record.store.writer import RecordingWriter

    writer = RecordingWriter.create(tmp_path / "x.db")
    mark = fingerprint("geometry_msgs.PoseStamped")
    channel = "/odom#geometry_msgs.PoseStamped"
    info = StreamInfo(
        "odom", "/odom", channel, "geometry_msgs.PoseStamped", "lz4+lcm", True, "Go2", "x", mark
    )
    writer.declare(info)
    writer.append_one(channel, T0, pose(1, 2).lcm_encode())
    writer.close()
    with (
        RecordReplay(tmp_path / "x.db") as rec,
        RecordReplay(rec.view().save(tmp_path / "y.db")) as copy,
    ):
        assert copy.topics.odom.info == info
        assert everything(copy) == everything(rec)


def test_only_what_the_view_holds_is_saved(rec: RecordReplay, tmp_path: Path) -> None:
    view = (
        rec.select(["/a", "/odom"])
        .between(2, 6)
        .map(
            lambda one: (
                one.derive(data=String(data="x")) if one.topic == "/odom" else one.tag(new=1)
            )
        )
    )
    with RecordReplay(view.save(tmp_path / "part.db")) as part:
        assert list(part.streams) == ["a", "odom"]
        assert [one.raw for one in part.streams.a] == [b"2", b"4"]
        assert part.streams.a.first().tags == {"n": 2, "even": True, "new": 1}
        info = part.topics.odom.info
        assert info.channel == "/odom#std_msgs.String"
        assert info.fingerprint == fingerprint("std_msgs.String")
        assert part.streams.odom.first().data.data == "x"
        assert part.span == (1.7e9 + 2, 1.7e9 + 5.5)


def test_many_large_messages_are_saved(tmp_path: Path) -> None:
    with RecordReplay(store=MemoryStore()) as rec:
        for i in range(1200):
            rec.stream("big" if i % 100 == 0 else "small").append(
                b"%d" % i + bytes(3_000_000 if i % 100 == 0 else 10), ts_ns=T0 + i
            )
        with RecordReplay(rec.view().save(tmp_path / "x.db")) as copy:
            assert everything(copy) == everything(rec)


def test_a_file_of_dimos_is_saved_as_one_of_ours(tmp_path: Path) -> None:
    known = [stream for stream in ALL if stream is not UNKNOWN_CODEC]
    write_dimos_file(tmp_path / "theirs.db", known)
    with (
        RecordReplay(tmp_path / "theirs.db") as theirs,
        RecordReplay(theirs.view().save(tmp_path / "ours.db")) as ours,
    ):
        assert everything(ours) == everything(theirs)
        assert [one.data for one in ours.streams.speed] == [0.5, -1.25, 3]
        for name in theirs.streams:
            assert ours.topics[name].info == theirs.topics[name].info


def test_an_empty_view_is_saved_as_an_empty_recording(rec: RecordReplay, tmp_path: Path) -> None:
    with RecordReplay(rec.between(100, 200).save(tmp_path / "empty.db")) as empty:
        assert empty.span is None
        assert empty.info().sessions[0].state == "finished"


def test_nothing_is_overwritten_unless_told(rec: RecordReplay, tmp_path: Path) -> None:
    view = rec.select("/a")
    view.save(tmp_path / "a.db")
    with pytest.raises(RecordingExists, match=r"a\.db exists already"):
        view.between(0, 1).save(tmp_path / "a.db")
    view.between(0, 1).save(tmp_path / "a.db", overwrite=True)
    with RecordReplay(tmp_path / "a.db") as saved:
        assert saved.view().count() == 1
    (tmp_path / "text.txt").write_text("not a recording")
    with pytest.raises(NotARecording):
        view.save(tmp_path / "text.txt", overwrite=True)
    assert (tmp_path / "text.txt").read_text() == "not a recording"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_view_is_not_saved_onto_what_it_reads(
    rec: RecordReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink("walk.db", "link.db")
    for name in (tmp_path / "walk.db", "./walk.db", "./link.db"):
        with pytest.raises(OptionError, match="is what the view reads"):
            rec.select("/a").save(name, overwrite=overwrite)
    assert rec.view().count() == 25


def test_a_view_is_not_saved_among_the_segments_that_it_reads(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk", bus="memory://segments") as rec:
        with rec.recording(split_s=1000):
            rec.bus.publish("/a", b"1")
        with pytest.raises(OptionError, match="is what the view reads"):
            rec.view().save(tmp_path / "walk" / "more.db")
        assert rec.view().count() == 1


@pytest.mark.parametrize("existing", [False, True])
def test_a_save_that_fails_leaves_no_trace(
    rec: RecordReplay, tmp_path: Path, existing: bool
) -> None:
    if existing:
        rec.select("/b").save(tmp_path / "new.db")
    names = sorted(path.name for path in tmp_path.iterdir())

    def broken(one: Observation) -> Observation:
        if one.raw == b"10":
            raise RuntimeError("in the middle")
        return one

    with pytest.raises(RuntimeError, match="in the middle"):
        rec.select("/a").map(broken).save(tmp_path / "new.db", overwrite=existing)
    with pytest.raises(CodecError, match="/a"):
        rec.select("/a").map(lambda one: one.derive(data=3)).save(
            tmp_path / "new.db", overwrite=existing
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    if existing:
        with RecordReplay(tmp_path / "new.db") as before:
            assert before.view().count() == 6

"""The viewer of what is on the bus, and of what is being played."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Selection, open_bus
from dimos_record.messages import encode
from dimos_record.testing import Collector, free_lcm_url
from dimos_record.viewer import RecordingLogger
from dimos_record.viewer.live import Inbox, LiveLogger
from dimos_record.viewer.played import ShownBus, logging_while
from tests.viewer.rrd import read_rrd
from tests.viewer.test_logger import T0, S, pose

pytest.importorskip("rerun")

ODOM = "/odom#geometry_msgs.PoseStamped"
MAP = "/map#nav_msgs.OccupancyGrid"


def test_when_messages_come_too_fast_the_oldest_are_skipped_but_no_state() -> None:
    inbox = Inbox(max_bytes=100)
    inbox.put(MAP, b"m" * 40)
    for i in range(10):
        inbox.put(ODOM, b"%d" % i * 20)
    waiting = inbox.take_all()
    assert waiting[0].channel == MAP
    assert [one.data[:1] for one in waiting[1:]] == [b"8", b"9"]
    assert inbox.skipped == 8
    assert sum(len(one.data) for one in waiting) <= 100


def test_of_state_that_comes_too_fast_the_newest_stays_but_every_static_transform() -> None:
    inbox = Inbox(max_bytes=100)
    static = "/tf_static#tf2_msgs.TFMessage"
    for i in range(9):
        inbox.put(MAP, b"%d" % i * 20)
        inbox.put(static, b"%d" % i)
    waiting = inbox.take_all()
    assert [one.data for one in waiting if one.channel == static] == [b"%d" % i for i in range(9)]
    assert [one.data[:1] for one in waiting if one.channel == MAP][-1] == b"8"
    assert sum(len(one.data) for one in waiting) <= 100


def test_taking_waits_for_the_next_message() -> None:
    inbox = Inbox()
    assert inbox.take(0.0) is None
    threading.Timer(0.05, inbox.put, (ODOM, b"x")).start()
    arrival = inbox.take(30.0)
    assert arrival is not None
    assert (arrival.channel, arrival.data) == (ODOM, b"x")


@contextmanager
def logging_to(path: Path) -> Iterator[LiveLogger]:
    """A logger of what is live, into a file."""
    import rerun as rr

    stream = rr.RecordingStream("test")
    stream.save(path)
    yield LiveLogger(RecordingLogger(stream, origin_ns=T0))
    stream.flush()
    stream.disconnect()


def test_what_is_on_the_bus_is_shown_and_a_new_topic_gets_a_place(tmp_path: Path) -> None:
    url = free_lcm_url()
    with logging_to(tmp_path / "a.rrd") as live, open_bus(url) as bus, open_bus(url) as robot:
        subscription = bus.subscribe(Selection.of(("*",)), live.inbox.put)
        robot.publish(ODOM, encode(pose(1.0)))
        live.run(lambda: live.logged >= 1)
        robot.publish("/goal#geometry_msgs.PoseStamped", encode(pose(2.0)))
        live.run(lambda: live.logged >= 2)
        subscription.close()
    log = read_rrd(tmp_path / "a.rrd")
    for topic in ("odom", "goal"):
        (found,) = log[f"/world/{topic}", "CoordinateFrame:frame"]
        assert found.times["stamp"] == T0
        assert (found.times["time"] or 0) > T0 + S


def test_what_is_played_is_published_and_shown_where_it_was_recorded(tmp_path: Path) -> None:
    url = free_lcm_url()
    with RecordReplay(tmp_path / "a.db") as rec:
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        for i in range(4):
            odom.append(pose(float(i), T0 + i * S), ts_ns=T0 + i * S)
    with (
        logging_to(tmp_path / "a.rrd") as live,
        open_bus(url) as bus,
        open_bus(url) as robot,
        Collector(robot) as heard,
    ):
        shown = ShownBus(bus, live.inbox)
        with logging_while(live), RecordReplay(tmp_path / "a.db", bus=shown) as rec:
            shown.position_ns = lambda: round(rec.get_seek() * 1e9)
            options = {"check_conflicts": False, "remap": {"/odom": "/sim/odom"}}
            rec.play(speed=float("inf"), block=True, **options)
        messages = heard.wait_for(4)
    assert messages == [
        ("/sim/odom#geometry_msgs.PoseStamped", encode(pose(float(i), T0 + i * S)))
        for i in range(4)
    ]
    found = read_rrd(tmp_path / "a.rrd")["/world/sim/odom", "CoordinateFrame:frame"]
    assert [one.times["position"] for one in found] == [i * S for i in range(4)]
    assert [one.times["stamp"] for one in found] == [T0 + i * S for i in range(4)]

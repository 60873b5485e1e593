"""The inspector as a widget: what it shows, when, and its keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from dimos_record.cli.tui.inspector import Inspector, widget
from dimos_record.cli.tui.inspector.look import Seen, Wanted
from dimos_record.cli.tui.inspector.look import look as real_look
from dimos_record.cli.tui.inspector.tree import MessageTree
from dimos_record.cli.tui.theme import COLOURS
from dimos_record.messages import encode, message_class
from dimos_record.store.base import Row, StreamInfo
from tests.cli.tui.snapshots import SIZES, Snapshots, screen_text
from tests.cli.tui.waiting import until, until_shown
from tests.messages.samples import NS, stamped

T0 = 1_700_000_000 * NS


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as here:
        here.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


class Program(App[None]):
    """Nothing but an inspector."""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return COLOURS

    def compose(self) -> ComposeResult:
        yield Inspector()

    def say(self, text: str) -> None:
        self.said = text

    @property
    def inspector(self) -> Inspector:
        return self.query_one(Inspector)


def show(app: Program, topic: str, message: Any, number: int = 1) -> None:
    channel = f"{topic}#{message.msg_name}"
    stream = StreamInfo(topic.strip("/"), topic, channel, message.msg_name)
    row = Row(stream, number, number, T0 + number * NS, T0, encode(message))
    app.inspector.show(stream, row, float(number))


async def show_all(pilot: Pilot[None], topic: str, message: Any, number: int = 1) -> None:
    """Show a message and wait for it."""
    app = pilot.app
    assert isinstance(app, Program)
    show(app, topic, message, number)
    await until(pilot, lambda: shown_number(app) == number, f"message {number}")
    await until(pilot, lambda: is_laid_out(app), "that everything is in its place")
    await pilot.pause()


def is_laid_out(app: Program) -> bool:
    seen, tree = app.inspector.seen, app.query_one(MessageTree)
    return seen is not None and tree.region.size == seen.tree_room and bool(tree.lines)


def shown_number(app: Program) -> int | None:
    seen = app.inspector.seen
    return seen.wanted.row.id if seen is not None and seen.wanted.row is not None else None


def odometry(x: float = 1.5) -> Any:
    message = stamped("nav_msgs.Odometry", T0, child_frame_id="base_link")
    point, pose = message_class("geometry_msgs.Point"), message_class("geometry_msgs.Pose")
    with_covariance = message_class("geometry_msgs.PoseWithCovariance")
    message.pose = with_covariance(pose=pose(position=point(x=x, y=2.0)), covariance=[0.0] * 36)
    return message


def image() -> Any:
    y, x = np.mgrid[0:48, 0:64]
    data = np.stack([4 * x, 5 * y, 0 * x], axis=-1).astype(np.uint8).tobytes()
    fields = {"width": 64, "height": 48, "step": 192, "encoding": "rgb8"}
    return stamped("sensor_msgs.Image", T0, **fields, data=data, data_length=len(data))


def scan() -> Any:
    """Without any symmetry: no dot of the plot is where rounding could go either way."""
    angles = -3.0 + np.arange(360) * 0.0174
    ranges = (3 + np.sin(4 * angles) + 0.31 * np.sin(angles + 1)).astype(np.float32).tolist()
    limits = {"angle_min": -3.0, "angle_increment": 0.0174, "range_max": 10.0}
    return stamped("sensor_msgs.LaserScan", T0, **limits, ranges=ranges, ranges_length=360)


async def test_a_message_is_shown_with_what_is_known_of_it():
    async with Program().run_test(size=(100, 30)) as pilot:
        pilot.app.inspector.show(StreamInfo("a", "/a", "/a", "nav_msgs.Odometry"), None, 1.0)
        await until_shown(pilot, "No message on /a until here.")
        await show_all(pilot, "/odom", odometry(), 3)
        shown = screen_text(pilot.app)
        assert "/odom  nav_msgs.Odometry" in shown
        assert "#3  3.000 s  2023-11-14 22:13:23.000  stamp 22:13:20.000, lag 3.0 s" in shown
        assert "▸ position: x 1.5, y 2, z 0" in shown


async def test_of_messages_that_come_too_fast_the_last_is_shown(monkeypatch: pytest.MonkeyPatch):
    looked: list[int] = []
    may_go_on = threading.Event()

    def slow_look(wanted: Wanted) -> Seen:
        assert wanted.row is not None
        looked.append(wanted.row.id)
        assert may_go_on.wait(30)
        return real_look(wanted)

    monkeypatch.setattr(widget, "look", slow_look)
    async with Program().run_test(size=(100, 30)) as pilot:
        try:
            show(pilot.app, "/odom", odometry(), 1)
            await until(pilot, lambda: looked == [1], "that it works on the first")
            for number in range(2, 20):
                show(pilot.app, "/odom", odometry(), number)
        finally:
            may_go_on.set()
        await until(pilot, lambda: shown_number(pilot.app) == 19, "the last one")
        stream, row, _, *_ = pilot.app.inspector.seen.wanted
        pilot.app.inspector.show(stream, row, 123.0)
        await until_shown(pilot, "123.000 s")
        assert looked == [1, 19]


async def test_what_is_open_stays_open_in_the_next_message_of_the_type():
    async with Program().run_test(size=(100, 30)) as pilot:
        pilot.app.query_one(MessageTree).focus()
        await show_all(pilot, "/odom", odometry(), 1)
        await pilot.press("enter")
        assert "    sec: 1700000000" not in screen_text(pilot.app)
        assert "▸ stamp: 2023-11-14 22:13:20.000000000" in screen_text(pilot.app)
        await pilot.press("down", "down", "right", "right", "end")
        assert "      nsec: 0" in screen_text(pilot.app)
        await show_all(pilot, "/scan", scan(), 2)
        assert "nsec: 0" not in screen_text(pilot.app)
        await show_all(pilot, "/odom", odometry(x=9.25), 3)
        assert "x 9.25, y 2, z 0" in screen_text(pilot.app)
        assert "      nsec: 0" in screen_text(pilot.app)


async def test_keys_and_clicks_open_and_close():
    async with Program().run_test(size=(60, 12)) as pilot:
        tree = pilot.app.query_one(MessageTree)
        tree.focus()
        await show_all(pilot, "/odom", odometry(), 1)
        before = screen_text(pilot.app)
        await pilot.press("right", "right")
        assert tree.cursor == 1
        await pilot.press("left", "left")
        assert (tree.cursor, screen_text(pilot.app)) == (0, before)
        await pilot.press("end", "enter", "pageup", "pagedown", "end")
        assert tree.scroll_offset.y > 0
        await pilot.press("home")
        assert tree.scroll_offset.y == 0
        await pilot.click(MessageTree, offset=(2, 0))
        assert "seq: 0\n" in screen_text(pilot.app)
        await pilot.press("y")
        assert pilot.app.clipboard.startswith("seq 0, stamp 2023-11-14")
        assert pilot.app.said.endswith(pilot.app.clipboard)


async def test_keys_without_a_message_do_nothing():
    async with Program().run_test(size=(60, 12)) as pilot:
        pilot.app.query_one(MessageTree).focus()
        await pilot.press("enter", "right", "left", "up", "down", "end", "home", "pageup", "y")
        assert pilot.app.is_running


async def test_what_cannot_be_shown_is_a_sentence():
    async with Program().run_test(size=(80, 24)) as pilot:
        broken = image()
        broken.step = 10
        await show_all(pilot, "/camera", broken, 1)
        assert "64 x 48 rgb8 with 10 bytes per row" in screen_text(pilot.app)
        await show_all(pilot, "/camera", image(), 2)
        assert "64 x 48 rgb8" in screen_text(pilot.app)
        assert "per row" not in screen_text(pilot.app)


async def test_an_error_nobody_thought_of_does_not_end_the_program(
    monkeypatch: pytest.MonkeyPatch,
):
    def broken_look(wanted: Wanted) -> Seen:
        raise ZeroDivisionError("division by zero")

    async with Program().run_test(size=(80, 24)) as pilot:
        with monkeypatch.context() as here:
            here.setattr(widget, "look", broken_look)
            show(pilot.app, "/odom", odometry(), 1)
            await until_shown(pilot, "This message cannot be shown: ZeroDivisionError")
        await show_all(pilot, "/odom", odometry(), 2)


@pytest.mark.parametrize("size", SIZES)
async def test_the_inspector_looks_as_it_should(snapshots: Snapshots, size: tuple[int, int]):
    async with Program().run_test(size=size) as pilot:
        for topic, message in {"/camera": image(), "/odom": odometry(), "/scan": scan()}.items():
            await show_all(pilot, topic, message, len(topic))
            snapshots.check(pilot.app, f"inspector-{topic.strip('/')}")


async def test_pictures_are_drawn_again_in_another_size():
    async with Program().run_test(size=(100, 30)) as pilot:
        await show_all(pilot, "/camera", image(), 1)
        inspector = pilot.app.query_one(Inspector)
        drawn = []
        for size in ((60, 40), (20, 6), (8, 2), (120, 22)):
            await pilot.resize_terminal(*size)
            await until(pilot, partial(has_looked_at_size, inspector, size), f"size {size}")
            drawing = inspector.seen.drawing
            drawn.append(drawing and drawing.size)
        assert drawn == [(53, 21), None, None, (48, 19)]


def has_looked_at_size(inspector: Inspector, size: tuple[int, int]) -> bool:
    assert inspector.seen is not None
    return (inspector.seen.wanted.columns, inspector.seen.wanted.lines) == size

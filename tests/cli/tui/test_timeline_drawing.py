"""What is drawn of a recording, as text, without any terminal."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import pytest

from dimos_record.cli.tui.timeline import density, lanes, ruler
from dimos_record.cli.tui.timeline.density import Picture, Request, Unit
from dimos_record.cli.tui.timeline.line import Line, elided, narrow
from dimos_record.cli.tui.timeline.scene import Flag, Lane, Marks, Scene, Section
from dimos_record.cli.tui.timeline.window import SHORTEST_NS, Extent, S, Window

MS = S // 1000
WHOLE = Window(0, 10 * S)


class FakeRow(NamedTuple):
    data: bytes


class FakeReader:
    """Streams that are nothing but receive times; every message has 100 bytes."""

    def __init__(self, **streams: Sequence[int]) -> None:
        self.streams = streams
        self.asked = 0

    def origin_ns(self) -> int:
        return 0

    def ranks(self, stream: str, times_ns: Sequence[int]) -> list[int]:
        self.asked += 1
        return [bisect_left(self.streams[stream], time) for time in times_ns]

    def last_at(self, stream: str, ts_ns: int) -> FakeRow:
        return FakeRow(bytes(100))


def counted(
    times: Sequence[int], window: Window = WHOLE, cells: int = 10, unit: Unit = "messages"
) -> Picture:
    """What is counted of one stream."""
    request = Request(window, cells, unit, ("odom",), 0)
    reader = cast(Any, FakeReader(odom=times))
    picture = density.compute(lambda work: work(reader), request, lambda: False)
    assert picture is not None
    return picture


def drawn(
    times: Sequence[int],
    window: Window = WHOLE,
    cells: int = 10,
    cuts: tuple[Section, ...] = (),
    rows: int = 1,
    **scene: Any,
) -> list[str]:
    """The lines of a lane with these messages."""
    picture = counted(times, window, cells)
    lane = Lane("odom", "/odom", len(times), cuts)
    what = Scene(Extent(0, 10 * S), (lane,), cuts, **scene)
    return [line.text for line in lanes.plot(what, lane, picture, window, cells, rows)]


def every(step_ns: int, start_ns: int = 0, end_ns: int = 10 * S) -> list[int]:
    return list(range(start_ns, end_ns, step_ns))


# --- lanes


def test_each_half_of_a_cell_shows_how_many_messages_are_in_it() -> None:
    busy, less_busy = every(10 * MS, 0, 4500 * MS), every(50 * MS, 4500 * MS)
    assert drawn(busy + less_busy) == ["⣶⣶⣶⣶⣆⣀⣀⣀⣀⣀"]


def test_a_gap_in_a_busy_stream_is_seen() -> None:
    assert drawn([at for at in every(10 * MS) if not 4 * S <= at < 5500 * MS]) == ["⣶⣶⣶⣶ ⢰⣶⣶⣶⣶"]


def test_a_lane_may_have_several_lines() -> None:
    assert drawn(every(10 * MS, 0, S) + every(100 * MS, 5 * S, 6 * S), rows=2) == [
        "⣶         ",
        "⣿    ⣤    ",
    ]


def test_messages_that_stand_apart_are_ticks() -> None:
    assert drawn([0, 2 * S, 3500 * MS, 9999 * MS]) == ["│ ││     │"]


def test_zoomed_in_a_busy_stream_comes_apart_into_single_messages() -> None:
    window = Window(5 * S, 5 * S + 50 * MS)
    assert drawn(every(10 * MS), window, 20) == ["│   │   │   │   │   "]


def test_what_was_cut_is_hatched_and_nothing_else_is_drawn_there() -> None:
    cut = Section(2 * S, 5 * S)
    assert drawn(every(10 * MS), cuts=(cut,)) == ["⣶⣶╱╱╱⣶⣶⣶⣶⣶"]


def test_a_cut_too_short_for_a_column_is_still_seen() -> None:
    cut = Section(2 * S + 10 * MS, 2 * S + 20 * MS)
    assert drawn(every(10 * MS), cuts=(cut,)) == ["⣶⣶╱⣶⣶⣶⣶⣶⣶⣶"]


def test_pauses_between_sessions_and_their_beginnings_are_seen() -> None:
    times = every(10 * MS, 0, 3 * S) + every(10 * MS, 6 * S, 7 * S)
    scene = {"pauses": (Section(3 * S, 6 * S),), "starts": (6 * S, 8 * S)}
    assert drawn(times, **scene) == ["⣶⣶⣶···⣶ ┊ "]


def test_the_same_picture_in_bytes_is_what_the_messages_weigh() -> None:
    times = every(100 * MS)
    assert counted(times, unit="bytes").lanes["odom"] == (500,) * 20
    assert counted(times).lanes["odom"] == (5,) * 20


def test_an_overtaken_request_ends_before_the_next_stream() -> None:
    reader = cast(Any, FakeReader(a=[0], b=[0]))
    request = Request(WHOLE, 10, "messages", ("a", "b"), 0)
    made = density.compute(lambda work: work(reader), request, lambda: reader.asked == 1)
    assert made is None
    assert reader.asked == 1


def test_load_is_what_arrives_per_second_whatever_is_shown() -> None:
    ten_hertz = every(100 * MS)
    for window, cells in ((WHOLE, 10), (Window(0, S), 40), (Window(S, 3 * S), 7)):
        counts = counted(ten_hertz, window, cells).counts["odom"]
        single = density.are_single(counts)
        assert set(density.loads(counts, window, "messages", single=single)) == {2}


def test_marks_and_what_is_between_them() -> None:
    line = Line(10)
    lanes.mark(line, Marks(2 * S, 5 * S), WHOLE)
    assert line.text == "  [  ]    "
    assert line.grounds == ["", "", "selected", "selected", "selected"] + [""] * 5


def test_the_playhead_lets_a_single_message_be_seen() -> None:
    line = Line(2)
    line.put(0, lanes.TICK, "load-1")
    assert lanes.playhead(line, 0) == "╂"
    assert lanes.playhead(line, 1) == "┃"


def test_a_label_says_which_lane_is_chosen_and_muted() -> None:
    lane = Lane("odom", "/robot1/very/long/name/of/odom", 1234)
    (line,) = lanes.label(lane, 16, 1, cursor=True, state="M")
    assert line.text == "▸M …ame/of/odom "
    (line,) = lanes.label(Lane("odom", "/odom", 1234), 16, 1, cursor=False, state=" ")
    assert line.text == "   /odom  1,234 "


def test_names_that_a_terminal_would_not_print_as_they_are() -> None:
    assert narrow("/a\x1b[31m漢b") == "/a?[31m?b"
    assert elided("abcdefgh", 5) == "…efgh"


# --- the ruler


def test_the_axis_is_in_minutes_and_seconds() -> None:
    assert ruler.axis(WHOLE, 30, Marks(3 * S)).text == "╷0:00    [     ╷0:05          "


@pytest.mark.parametrize(
    "window", [WHOLE, Window(0, 7200 * S), Window(S, S + 20 * MS), Window(-30 * S, 95 * S)]
)
def test_ticks_have_round_times(window: Window) -> None:
    text = ruler.axis(window, 40, Marks()).text
    ticks = [at for at, character in enumerate(text) if character == "╷"]
    assert len(ticks) >= 2
    step_ns = ruler.tick_step(window, 40)
    for at in ticks:
        position_ns = -(-window.border(at, 40) // step_ns) * step_ns
        assert window.column_of(position_ns, 40) == at
        assert text[at + 1 :].startswith(ruler.clock(position_ns, step_ns))


def test_the_axis_shows_the_loop() -> None:
    text = ruler.axis(WHOLE, 30, Marks(), (2 * S, 9 * S)).text
    assert (text.index("A"), text.index("B")) == (6, 27)


def test_markers_show_their_labels_as_far_as_there_is_room() -> None:
    flags = [Flag(0, None, "start"), Flag(3 * S, 6 * S, "lap"), Flag(8 * S, None, "the end")]
    assert ruler.flags(flags, WHOLE, 20).text == "◆star ◆lap──    ◆the"
    assert ruler.flags(flags, Window(5 * S, 7 * S), 8).text == "────    "


def test_the_overview_shows_cuts_markers_and_the_window() -> None:
    cut = Section(6 * S, 8 * S)
    scene = Scene(Extent(0, 10 * S), (), (cut,), flags=(Flag(5 * S, None, "x"),))
    figures = counted(every(10 * MS)).lanes["odom"]
    line = ruler.overview(scene, figures, "messages", Window(S, 3 * S), 10, 9 * S, Marks())
    assert line.text == "⣶⣶⣶⣶⣶◆╱╱⣶┃"
    assert [column for column in range(10) if line.grounds[column] == "window"] == [1, 2]


# --- windows


def test_columns_and_their_borders_agree_to_the_nanosecond() -> None:
    window = Window(7, 7 + 1_000_003)
    for column in range(41):
        border_ns = window.border(column, 40)
        assert window.column_of(border_ns, 40) == column
        assert window.column_of(border_ns - 1, 40) == column - 1


def test_zooming_in_keeps_the_playhead_in_its_column() -> None:
    extent, window = Extent(0, 100 * S), Window.whole(Extent(0, 100 * S))
    for _ in range(10):
        window = window.zoomed(2, 30 * S, extent)
        assert window.column_of(30 * S, 80) in (23, 24)
    assert window.length_ns == 100 * S // 1024
    for _ in range(10):
        window = window.zoomed(0.5, 30 * S, extent)
    assert window == Window.whole(extent)


def test_zooming_ends_where_messages_stand_apart() -> None:
    extent = Extent(0, 3600 * S)
    window = Window.whole(extent)
    for _ in range(60):
        window = window.zoomed(2, 1800 * S, extent)
    assert window.length_ns == SHORTEST_NS
    assert window.shows(1800 * S)


def test_the_page_turns_before_the_playhead_leaves_it() -> None:
    extent, window = Extent(0, 100 * S), Window(0, 10 * S)
    assert window.following(8 * S, extent) == window
    turned = window.following(9500 * MS, extent)
    assert turned.start_ns == 8500 * MS
    assert Window(90 * S, 100 * S).following(99 * S, extent) == Window(90 * S, 100 * S)
    assert turned.following(2 * S, extent).shows(2 * S)


def test_a_window_stays_within_the_recording() -> None:
    extent = Extent(-2 * S, 8 * S)
    window = Window(0, 4 * S)
    assert window.panned(-5, extent) == Window(-2 * S, 2 * S)
    assert window.panned(5, extent) == Window(4 * S, 8 * S)
    assert window.showing(7 * S, extent) == Window(4 * S, 8 * S)


def test_a_recording_of_one_moment_has_a_window() -> None:
    window = Window.whole(Extent(0, 1))
    assert drawn([0], window, 5) == ["│    "]
    assert window.zoomed(2, 0, Extent(0, 1)) == window

"""Plots: what is read, what is drawn in characters, and the picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dimos_record import RecordReplay
from dimos_record.errors import EditError, OptionError, RecordingExists, StorageError
from dimos_record.messages import message_class
from dimos_record.plotting import Plot, Series, plot, plottable
from dimos_record.plotting.ranges import ranges, thinned
from dimos_record.plotting.ticks import label_of, ticks

from .interop.recordings import STEP_NS, T0, odometry, write_shapes
from .store.dimos_files import SPEED, write_dimos_file

pytestmark = pytest.mark.once

X = "/odom.pose.pose.position.x"


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[RecordReplay]:
    with RecordReplay(write_shapes(tmp_path / "shapes.db")) as found:
        yield found


def test_a_series_has_positions_and_exact_numbers(rec: RecordReplay) -> None:
    (found,) = plot(rec.view(), X).series
    assert found.label == X
    np.testing.assert_allclose(found.x, [i * STEP_NS / 1e9 for i in range(20)], atol=1e-9)
    assert found.y.tolist() == [i / 10 for i in range(20)]


def test_fields_of_several_topics_are_read_in_the_order_asked_for(rec: RecordReplay) -> None:
    wanted = ["scan.ranges.4", X, "/odom.pose.covariance.35"]
    scan, x, count = plot(rec.view(), wanted).series
    assert scan.y.tolist() == [0, 5, 10, 15]
    assert (len(x.y), count.y.tolist()) == (20, list(range(20)))


def test_over_the_stamps_lies_when_it_was_sent(rec: RecordReplay) -> None:
    (found,) = plot(rec.view(), X, stamp=True).series
    np.testing.assert_allclose(found.x, [i * STEP_NS / 1e9 - 7e-9 for i in range(20)], atol=1e-9)


def test_a_section_and_operators_are_obeyed(rec: RecordReplay) -> None:
    (found,) = plot(rec.between(0.5, 1.0).every(2), X).series
    assert found.y.tolist() == [0.5, 0.7, 0.9]


def test_an_item_that_a_list_does_not_have_is_a_gap(rec: RecordReplay) -> None:
    (found,) = plot(rec.view(), "/scan.ranges.5").series
    assert np.isnan(found.y).all()
    assert "no" in plot(rec.view(), "/scan.ranges.5").text(80, 20)


def test_damaged_messages_are_gaps(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "odd.db") as rec:
        stream = rec.stream("odom", type_name="nav_msgs.Odometry")
        for i, data in enumerate([odometry(0), b"no odometry", odometry(2)]):
            stream.append(data, ts_ns=T0 + i)
        (found,) = plot(rec.view(), X).series
    np.testing.assert_equal(found.y, [0.0, np.nan, 0.2])


def test_where_everything_was_cut_the_line_has_a_gap(rec: RecordReplay) -> None:
    rec.delete_section((0.45, 1.05))
    (found,) = plot(rec.view(), X).series
    expected = [0.0, 0.1, 0.2, 0.3, 0.4, np.nan, *(i / 10 for i in range(11, 20))]
    np.testing.assert_equal(found.y, expected)
    assert (np.diff(found.x) >= 0).all()


def test_between_sessions_the_line_has_a_gap(tmp_path: Path) -> None:
    for start in (0, 50):
        with (
            RecordReplay(tmp_path / "two.db", bus="memory://test-plot-two") as rec,
            rec.recording(append=bool(start)),
        ):
            for i in range(3):
                rec.bus.publish("/odom#nav_msgs.Odometry", odometry(start + i).lcm_encode())
    with RecordReplay(tmp_path / "two.db") as rec:
        (found,) = plot(rec.view(), X).series
    np.testing.assert_equal(found.y, [0.0, 0.1, 0.2, np.nan, 5.0, 5.1, 5.2])


def test_numbers_that_dimos_stored_are_plotted(tmp_path: Path) -> None:
    write_dimos_file(tmp_path / "dimos.db", [SPEED])
    with RecordReplay(tmp_path / "dimos.db") as rec:
        assert plottable(rec.view()) == ["/speed.value"]
        (found,) = plot(rec.view(), "speed.value").series
    assert found.y.tolist() == [0.5, -1.25, 3]


def test_of_topics_with_a_dot_the_longest_that_fits_is_meant(tmp_path: Path) -> None:
    number = message_class("std_msgs.Float64")
    with RecordReplay(tmp_path / "dots.db") as rec:
        rec.stream("a", topic="/a", type_name="geometry_msgs.Point").append(
            message_class("geometry_msgs.Point")(x=1.0), ts_ns=T0
        )
        rec.stream("ax", topic="/a.x", type_name="std_msgs.Float64").append(number(data=2.0))
        series = plot(rec.view(), ["/a.x.data", "/a.y"]).series
    assert [one.y.tolist() for one in series] == [[2.0], [0.0]]


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("/odmo.x", "/odom"),
        ("/odom", "pose.pose.position.x"),
        ("/odom.pose.z", "pose.pose.position.z"),
        ("/odom.pose.pose", "pose.pose.position.x"),
        ("/odom.header.frame_id", "/odom"),
        ("/bytes.data", "/bytes"),
        ("", "/odom"),
    ],
)
def test_what_cannot_be_plotted_is_answered_with_what_can(
    rec: RecordReplay, field: str, named: str
) -> None:
    with pytest.raises(OptionError) as error:
        plot(rec.view(), field)
    assert named in str(error.value)


def test_nothing_to_plot_is_said(rec: RecordReplay) -> None:
    with pytest.raises(OptionError, match="no field"):
        plot(rec.view(), [])
    with pytest.raises(EditError, match="/odom has no message"):
        plot(rec.between(100, None), X)


def test_every_line_of_the_drawing_fits_and_markers_stand_above(rec: RecordReplay) -> None:
    made = plot(rec.view(), [X, "/scan.ranges.4"])
    for columns in (20, 60, 133):
        lines = made.text(columns, 24).splitlines()
        assert max(map(len, lines)) <= columns or columns == 20
        assert len(lines) <= 24
    assert re.search("fall +end", made.text(100, 24).splitlines()[0])
    assert "\x1b" not in str(made)
    assert "\x1b[36m" in made.text(colour=True)
    assert "1.9 ┤" in str(made)


def test_the_drawing_rises_where_the_numbers_do() -> None:
    ramp = Series("ramp", np.arange(100.0), np.arange(100.0))
    lines = Plot("test", (ramp,), (), 0).text(60, 20).splitlines()
    panel = [line.partition("┤")[2] or line.partition("│")[2] for line in lines[1:-2]]
    starts = [len(line) - len(line.lstrip()) for line in panel]
    assert starts == sorted(starts, reverse=True)
    assert len(set(starts)) == len(starts)


def test_no_peak_of_a_million_points_is_lost() -> None:
    x, y = np.arange(1e6), np.zeros(1_000_000)
    y[123_456], y[777_777], y[500_000] = 9.0, -8.0, np.nan
    found = ranges(x, y, (0.0, 999_999.0), 100)
    assert (found.high[12], found.low[77]) == (9.0, -8.0)
    thin_x, thin_y = thinned(x, y, 100)
    assert len(thin_x) < 600
    kept = dict(zip(thin_x.tolist(), thin_y.tolist(), strict=True))
    assert (kept[123_456], kept[777_777]) == (9.0, -8.0)
    assert np.isnan(kept[500_000])
    assert (thin_x[0], thin_x[-1]) == (0, 999_999)


def test_between_few_points_the_line_is_drawn_but_not_over_gaps() -> None:
    x, y = np.array([0.0, 4.0, 5.0, 10.0]), np.array([0.0, 4.0, np.nan, 1.0])
    found = ranges(x, y, (0.0, 10.0), 10)
    np.testing.assert_allclose(found.low[:4], [0, 1, 2, 3])
    np.testing.assert_allclose(found.high[:4], [1, 2, 3, 4])
    assert np.isnan(found.low[5:9]).all()
    assert found.high[9] == 1.0


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [np.inf, 1.0, -np.inf], [np.nan]])
def test_odd_numbers_are_drawn_without_a_complaint(values: list[float], tmp_path: Path) -> None:
    series = Series("$odd_{", np.zeros(len(values)), np.array(values))
    made = Plot("test", (series,), (), 0)
    assert "$odd_{" in made.text(40, 10)
    assert made.save(tmp_path / "odd.svg").stat().st_size > 1000


def test_ticks_are_round_and_told_apart() -> None:
    assert ticks(0.0, 20.0, 4) == [0, 5, 10, 15, 20]
    places = ticks(3.21, 3.29, 5)
    assert [label_of(one, places) for one in places] == ["3.22", "3.24", "3.26", "3.28"]
    assert ticks(7.0, 7.0, 5) == [7.0]


def test_the_picture_is_complete_or_not_there(rec: RecordReplay, tmp_path: Path) -> None:
    out = tmp_path / "plot.png"
    made = plot(rec.view(), [X, "/scan.ranges.4"], out)
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RecordingExists, match="overwrite"):
        made.save(out)
    made.save(out, overwrite=True)
    with pytest.raises(OptionError, match=r"plot\.gif"):
        made.save(tmp_path / "plot.gif")
    with pytest.raises(StorageError, match="nowhere"):
        made.save(tmp_path / "nowhere" / "plot.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plot.png", "shapes.db"]


def test_what_a_terminal_would_obey_is_not_drawn(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "odd.db") as rec:
        stream = rec.stream("odd", topic="/o\x1b[2Jdd", type_name="nav_msgs.Odometry")
        stream.append(odometry(1), ts_ns=T0)
        rec.add_marker(0.0, "\x1b]0;title\x07")
        made = plot(rec.view(), "/o\x1b[2Jdd.pose.pose.position.x")
    assert "/o?[2Jdd.pose.pose.position.x" in made.text(80, 12)
    assert "\x1b" not in made.text(80, 12)
    assert b"\x1b" not in made.save(tmp_path / "odd.svg").read_bytes()

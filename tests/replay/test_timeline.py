from __future__ import annotations

from itertools import islice

import pytest

from dimos_record.bus.base import Selection
from dimos_record.errors import UnknownTopic
from dimos_record.replay import Timeline
from tests.replay.fakes import T0, S, recording, stream

A, B, C = stream("/a#std_msgs.String"), stream("/b#std_msgs.String"), stream("/c")


def test_streams_are_merged_by_time_and_order_of_arrival() -> None:
    reader = recording(
        [(0, B, b"1"), (0, A, b"2"), (0, B, b"3"), (1, C, b"4"), (1, A, b"5"), (2, B, b"6")]
    )
    assert [row.data for row in Timeline(reader).rows()] == [b"1", b"2", b"3", b"4", b"5", b"6"]


def test_reverse_is_exactly_the_opposite_order_also_where_rows_tie() -> None:
    reader = recording([(t // 4, (A, B, C)[t % 3], b"%d" % t) for t in range(40)])
    for rows in reader._rows.values():  # foreign files may know no order of arrival
        rows[:] = [row._replace(seq=0) for row in rows]
    timeline = Timeline(reader)
    assert list(timeline.rows(reverse=True)) == list(timeline.rows())[::-1]


def test_rows_are_limited_to_a_half_open_interval() -> None:
    timeline = Timeline(recording([(t, A, b"%d" % t) for t in range(5)]))
    rows = timeline.rows(T0 + 1 * S, T0 + 3 * S)
    assert [row.data for row in rows] == [b"1", b"2"]


def test_rows_are_read_lazily() -> None:
    reader = recording([(t, (A, B)[t % 2], b"") for t in range(1000)])
    assert len(list(islice(Timeline(reader).rows(), 10))) == 10
    assert reader.fetched < 20


def test_only_selected_topics_are_played_but_the_span_is_that_of_the_recording() -> None:
    reader = recording([(0, A, b"a"), (1, B, b"b"), (2, C, b"c")])
    timeline = Timeline(reader, Selection.of(["/b", "/c"], ["/c"]))
    assert [row.data for row in timeline.rows()] == [b"b"]
    assert [info.topic for info in timeline.streams] == ["/b"]
    assert timeline.span_ns() == (T0, T0 + 2 * S)


def test_a_pattern_that_matches_nothing_is_an_error_that_lists_the_topics() -> None:
    with pytest.raises(UnknownTopic, match=r"list.db: no topic matches '/nope'; it has /a, /c"):
        Timeline(recording([(0, A, b""), (0, C, b"")]), Selection.of(["/a", "/nope"]))


def test_an_empty_recording_has_no_rows() -> None:
    timeline = Timeline(recording([]))
    assert list(timeline.rows()) == []
    assert timeline.span_ns() is None

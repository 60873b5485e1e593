"""The way so far, in pieces."""

from __future__ import annotations

from dimos_record.viewer.trajectory import Trajectory


def test_pieces_join_and_small_steps_wait() -> None:
    way = Trajectory()
    assert way.piece("odom", 0, (0.0, 0.0, 0.0)) is None
    assert way.piece("odom", 1, (0.01, 0.0, 0.0)) is None
    assert way.piece("odom", 2, (0.03, 0.0, 0.0)) == ((0.0, 0.0, 0.0), (0.03, 0.0, 0.0))
    assert way.piece("odom", 3, (0.06, 0.0, 0.0)) == ((0.03, 0.0, 0.0), (0.06, 0.0, 0.0))


def test_nothing_is_drawn_across_a_jump_back_in_time_to_another_frame_or_elsewhere() -> None:
    way = Trajectory()
    way.piece("odom", 5, (0.0, 0.0, 0.0))
    assert way.piece("odom", 6, (2.5, 0.0, 0.0)) is None
    assert way.piece("odom", 4, (2.6, 0.0, 0.0)) is None
    assert way.piece("map", 7, (2.7, 0.0, 0.0)) is None
    assert way.piece("map", 8, (float("nan"), 0.0, 0.0)) is None
    assert way.piece("map", 9, (2.8, 0.0, 0.0)) == ((2.7, 0.0, 0.0), (2.8, 0.0, 0.0))

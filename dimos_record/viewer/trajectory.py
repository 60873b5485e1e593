"""The way that something has taken so far, as a line that grows."""

from __future__ import annotations

import math
from typing import NamedTuple

Point = tuple[float, float, float]

_STEP_M = 0.02
_JUMP_M = 2.0


class _At(NamedTuple):
    frame: str | None
    ts_ns: int
    point: Point


class Trajectory:
    """Cuts the way into short pieces, each from the point before to the next one.

    All pieces up to a moment are the way up to there: the layout shows them so. Steps below 2 cm
    wait for the next one. Where time goes back, the frame changes or something is suddenly
    elsewhere (2 m), nothing is drawn in between.
    """

    def __init__(self) -> None:
        self._last: _At | None = None

    def piece(self, frame: str | None, ts_ns: int, point: Point) -> tuple[Point, Point] | None:
        """The piece of the way that ends here, if there is one.

        Args:
            frame: the frame that the point is in.
            ts_ns: when it was there.
            point: x, y, z (m).
        """
        if not all(map(math.isfinite, point)):
            return None
        last = self._last
        if last is None or last.frame != frame or ts_ns < last.ts_ns:
            self._last = _At(frame, ts_ns, point)
            return None
        step_m = math.dist(last.point, point)
        if step_m < _STEP_M:
            return None
        self._last = _At(frame, ts_ns, point)
        return None if step_m > _JUMP_M else (last.point, point)

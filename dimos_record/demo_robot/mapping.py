"""Building a floor plan from what a lidar sees: a grid of evidence for and against obstacles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dimos_record.demo_robot.world import Floats, FloorPlan, Point

SECTORS = 360
"""The lidar's surroundings are looked at in sectors of one degree."""
MIN_OBSTACLE_M, MAX_OBSTACLE_M = 0.1, 1.6
"""What rises to this height above the floor is in the robot's way; what hangs higher is not."""
BLIND_M = 2.2
"""Nearer than this, the lidar looks over low obstacles, so a view across says nothing."""
FOOTPRINT_M = 0.28
"""Where the robot stands, the floor is free."""
HIT, MISS = 3, -1
MIN_EVIDENCE, MAX_EVIDENCE = -12, 30
SURE = 3
"""Evidence from which a cell counts as occupied."""


class ScanMap:
    """Collects scans in a grid of fixed extent. The same scans give the same map.

    Args:
        origin: the corner of the grid with the smallest coordinates (m).
        size_m: extent along x and y.
        resolution_m: edge of a cell.
    """

    def __init__(self, origin: Point, size_m: Point, resolution_m: float) -> None:
        self.origin = origin
        self.resolution_m = resolution_m
        columns, rows = (math.ceil(size / resolution_m) for size in size_m)
        self._x = origin[0] + resolution_m * (np.arange(columns, dtype=np.float32) + 0.5)
        self._y = origin[1] + resolution_m * (np.arange(rows, dtype=np.float32)[:, None] + 0.5)
        self._evidence = np.zeros((rows, columns), np.int16)
        self._seen = np.zeros((rows, columns), bool)

    def add(self, points: Floats, height_m: float, x: float, y: float, yaw: float) -> None:
        """Take in one scan.

        Args:
            points: shape (n, 3) in the lidar's frame, which is level (m).
            height_m: of the lidar above the floor.
            x, y, yaw: where the lidar was and faced (m, m, rad).
        """
        range_m = np.hypot(points[:, 0], points[:, 1])
        sector = _sector(np.arctan2(points[:, 1], points[:, 0]))
        above_floor_m = points[:, 2] + height_m
        is_obstacle = (above_floor_m > MIN_OBSTACLE_M) & (above_floor_m < MAX_OBSTACLE_M)
        view_m = _view(range_m, sector, is_obstacle)
        free = self._free(view_m - 1.5 * self.resolution_m, x, y, yaw)
        hits = self._cells_of(points[is_obstacle, :2], x, y, yaw)
        self._evidence[free] += MISS
        self._evidence[hits] += HIT
        np.clip(self._evidence, MIN_EVIDENCE, MAX_EVIDENCE, out=self._evidence)
        self._seen[free] = True
        self._seen[hits] = True

    def floor_plan(self) -> FloorPlan:
        """What is known: 0 free, 100 occupied, -1 unknown."""
        cells = np.full(self._evidence.shape, -1, np.int8)
        cells[self._seen] = 0
        cells[self._evidence >= SURE] = 100
        return FloorPlan(cells, self.resolution_m, self.origin)

    def _free(self, view_m: Floats, x: float, y: float, yaw: float) -> NDArray[np.bool_]:
        """The cells that the lidar saw across, and those under the robot."""
        dx, dy = self._x - np.float32(x), self._y - np.float32(y)
        away_m = np.hypot(dx, dy)
        sector = _sector(np.arctan2(dy, dx) - np.float32(yaw))
        seen: NDArray[np.bool_] = (away_m > BLIND_M) & (away_m < view_m[sector])
        seen |= away_m < FOOTPRINT_M
        return seen

    def _cells_of(
        self, points: Floats, x: float, y: float, yaw: float
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the cells that contain points of the lidar's frame, each once."""
        cos, sin = math.cos(yaw), math.sin(yaw)
        along_x = x + cos * points[:, 0] - sin * points[:, 1] - self.origin[0]
        along_y = y + sin * points[:, 0] + cos * points[:, 1] - self.origin[1]
        column = np.floor(along_x / self.resolution_m).astype(np.intp)
        row = np.floor(along_y / self.resolution_m).astype(np.intp)
        rows, columns = self._evidence.shape
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        cells = np.unique(row[inside] * columns + column[inside])
        return cells // columns, cells % columns


def _sector(angle: NDArray[Any]) -> NDArray[np.intp]:
    return np.rint(angle * (SECTORS / (2 * np.pi))).astype(np.intp) % SECTORS


def _view(range_m: Floats, sector: NDArray[np.intp], is_obstacle: NDArray[np.bool_]) -> Floats:
    """How far each sector can be seen: to the nearest obstacle, or as far as anything was met."""
    farthest, nearest = np.zeros(SECTORS, np.float32), np.full(SECTORS, np.inf, np.float32)
    np.maximum.at(farthest, sector, range_m)
    np.minimum.at(nearest, sector[is_obstacle], range_m[is_obstacle])
    return np.minimum(farthest, nearest)

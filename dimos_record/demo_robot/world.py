"""The room that the demo robot drives through, as upright faces, and casting rays into it.

Everything stands upright: a solid is a polygon on the floor plan, extruded from `bottom_m` to
`top_m`. Camera, lidar and map all ask this one model, so they see the same world. Coordinates are
metres in the map frame: x to the right and y up on the floor plan, z up, the floor at z = 0.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Point = tuple[float, float]
Colour = tuple[int, int, int]

BANDS = 4
"""Every face is painted in this many horizontal bands."""


SEAM = 1e-9
"""Faces overlap by this share of their length, so that no ray slips through a corner."""


class Material(NamedTuple):
    """How a face looks to the camera and to the lidar."""

    bands: tuple[tuple[float, Colour], ...]
    """(upper edge of the band in m, colour), from the bottom up; the last band reaches the top."""
    top: Colour
    """Colour of the horizontal surface on top of (or underneath) the solid."""
    reflectivity: float
    """Share of the laser light that comes back, 0 to 1."""
    panel_m: float
    """Width of the panels that a joint divides the face into."""


class Wall(NamedTuple):
    """One upright face; its visible side is on the left when looking from `start` to `end`."""

    start: Point
    end: Point
    bottom_m: float
    top_m: float
    material: Material


class Hits(NamedTuple):
    """Where rays cross faces, nearest first. All arrays have shape (layers, rays)."""

    distance: Floats
    """In multiples of the ray's direction vector; inf where a ray has no further crossing."""
    face: Ints
    """Index of the face; 0 where there is none."""
    along_m: Floats
    """Distance from the face's start to the crossing (m)."""
    entering: NDArray[np.bool_]
    """True where the ray meets the face from outside, False where it leaves a solid."""


class World:
    """A closed room: upright faces between a floor at z = 0 and a flat ceiling.

    Args:
        walls: the faces. They must close the room, so that every ray ends somewhere.
        size_m: extent of the room in x and y; it starts at (0, 0).
        height_m: height of the ceiling.
    """

    def __init__(self, walls: list[Wall], size_m: Point, height_m: float) -> None:
        self.size_m = size_m
        self.height_m = height_m
        self.walls = walls
        self.start = np.array([wall.start for wall in walls])
        self.edge = np.array([wall.end for wall in walls]) - self.start
        self.length_m = np.hypot(self.edge[:, 0], self.edge[:, 1])
        self.normal = np.column_stack([-self.edge[:, 1], self.edge[:, 0]]) / self.length_m[:, None]
        self.bottom_m = np.array([wall.bottom_m for wall in walls])
        self.top_m = np.array([wall.top_m for wall in walls])
        self.reflectivity = np.array([wall.material.reflectivity for wall in walls])
        self.panel_m = np.array([wall.material.panel_m for wall in walls])

    def cast(self, origin: Point, directions: Floats) -> Hits:
        """Every crossing of horizontal rays with the faces, at whatever height.

        Args:
            origin: where all rays start (m).
            directions: shape (2, rays); distances are counted in lengths of these vectors.
        """
        to_start = self.start - origin
        dx, dy = directions
        # Ray and face cross where origin + t * direction == start + s * edge (Cramer's rule).
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1.0 / (np.outer(self.edge[:, 1], dx) - np.outer(self.edge[:, 0], dy))
            t = _cross(to_start, self.edge)[:, None] * inverse
            s = (np.outer(to_start[:, 0], dy) - np.outer(to_start[:, 1], dx)) * inverse
            face, ray = np.nonzero((t > 1e-6) & (s >= -SEAM) & (s <= 1.0 + SEAM))
        distance = t[face, ray]
        order = np.lexsort((distance, ray))
        face, ray, distance = face[order], ray[order], distance[order]
        layer = np.arange(len(ray)) - np.searchsorted(ray, ray)
        shape = (int(layer.max(initial=0)) + 1, directions.shape[1])
        hits = Hits(
            np.full(shape, np.inf), np.zeros(shape, int), np.zeros(shape), np.zeros(shape, bool)
        )
        hits.distance[layer, ray] = distance
        hits.face[layer, ray] = face
        hits.along_m[layer, ray] = s[face, ray] * self.length_m[face]
        hits.entering[layer, ray] = inverse[face, ray] > 0.0
        return hits

    def clearance_m(self, points: Floats) -> Floats:
        """Distance from each point of shape (n, 2) to the nearest face that stands on the floor."""
        standing = self.bottom_m == 0.0
        start, edge = self.start[standing], self.edge[standing]
        nearest = np.empty(len(points))
        for first in range(0, len(points), 1024):  # bounds the memory of a whole map
            chunk = slice(first, first + 1024)
            px, py = points[chunk, :1] - start[:, 0], points[chunk, 1:] - start[:, 1]
            share = (px * edge[:, 0] + py * edge[:, 1]) / (edge * edge).sum(axis=1)
            share = np.clip(share, 0.0, 1.0)
            away = np.hypot(px - share * edge[:, 0], py - share * edge[:, 1])
            nearest[chunk] = away.min(axis=1)
        return nearest

    def is_free(self, points: Floats) -> NDArray[np.bool_]:
        """Whether each point of shape (n, 2) is floor: inside the room and in no solid."""
        inside = np.zeros(len(points), int)
        for wall in self.walls:
            if wall.bottom_m == 0.0:
                (x0, y0), (x1, y1) = wall.start, wall.end
                spans = (points[:, 1] >= min(y0, y1)) & (points[:, 1] < max(y0, y1))
                if y0 != y1:
                    crossing_x = x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0)
                    inside += spans & (points[:, 0] < crossing_x)
        odd: NDArray[np.bool_] = inside % 2 == 1
        return odd

    def floor_plan(self) -> FloorPlan:
        """The floor plan as a grid, as a mapping robot would have drawn it."""
        resolution_m, margin_m = 0.05, 0.5
        counts = [math.ceil((size + 2 * margin_m) / resolution_m) for size in self.size_m]
        x, y = (-margin_m + resolution_m * (np.arange(count) + 0.5) for count in counts)
        centres = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        cells = np.full(len(centres), -1, np.int8)
        cells[self.is_free(centres)] = 0
        # Half a cell's diagonal: every cell that a face passes through.
        cells[self.clearance_m(centres) <= resolution_m * math.sqrt(0.5)] = 100
        return FloorPlan(cells.reshape(len(y), len(x)), resolution_m, (-margin_m, -margin_m))


class FloorPlan(NamedTuple):
    """A floor plan as cells: 0 free, 100 occupied, -1 unknown."""

    cells: NDArray[np.int8]
    """Shape (rows along y, columns along x)."""
    resolution_m: float
    origin: Point
    """Map coordinates of the outer corner of cell [0, 0] (m)."""


def _cross(a: Floats, b: Floats) -> Floats:
    product: Floats = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return product

"""The floor plan of the demo: two rooms with a doorway between them, pillars and coloured boxes."""

from __future__ import annotations

import math

from dimos_record.demo_robot.world import Colour, Material, Point, Wall, World

SIZE_M = (12.0, 8.0)
HEIGHT_M = 2.6
DOOR_HEIGHT_M = 2.1

WAYPOINTS: tuple[Point, ...] = (
    (1.6, 1.4), (3.6, 1.2), (5.4, 1.6), (5.8, 3.0), (7.0, 3.8), (8.2, 3.9), (8.6, 5.4),
    (9.6, 6.6), (10.9, 5.9), (10.9, 4.6), (9.6, 4.1), (8.2, 3.8), (7.0, 3.8), (5.7, 4.4),
    (5.2, 6.0), (4.2, 6.6), (3.0, 6.4), (2.6, 6.9), (3.4, 7.2), (4.3, 6.4), (4.5, 4.9),
    (3.6, 3.7), (2.0, 3.6), (1.2, 2.6),
)  # fmt: skip
"""The robot's round through both rooms, a closed loop (m)."""


def demo_world() -> World:
    """Build the room."""
    return World([*_outer_walls(), *_inner_walls(), *_obstacles()], SIZE_M, HEIGHT_M)


def _plaster(colour: Colour, feature: Colour | None = None) -> Material:
    """A wall with a skirting board; `feature` paints a picture or window at eye level."""
    low = (colour[0] * 3 // 4, colour[1] * 3 // 4, colour[2] * 3 // 4)
    bands = ((0.12, (92, 66, 48)), (0.95, low), (1.75, feature or colour), (HEIGHT_M, colour))
    return Material(bands, colour, reflectivity=0.6, panel_m=1.2)


def _painted(colour: Colour, height_m: float, stripe: Colour, reflectivity: float) -> Material:
    """A box or pillar with a stripe around it."""
    edges = (0.08 * height_m, 0.55 * height_m, 0.7 * height_m, height_m)
    dark = (colour[0] // 2, colour[1] // 2, colour[2] // 2)
    bands = tuple(zip(edges, (dark, colour, stripe, colour), strict=True))
    light = (min(245, colour[0] + 35), min(245, colour[1] + 35), min(245, colour[2] + 35))
    return Material(bands, light, reflectivity, panel_m=10.0)


def _solid(corners: list[Point], bottom_m: float, top_m: float, material: Material) -> list[Wall]:
    """The faces around a convex polygon whose corners go counter-clockwise, facing outwards."""
    ends = [corners[-1], *corners[:-1]]
    return [Wall(a, b, bottom_m, top_m, material) for a, b in zip(corners, ends, strict=True)]


def _block(x0: float, y0: float, x1: float, y1: float) -> list[Point]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _turned_box(x: float, y: float, width_m: float, depth_m: float, turn_rad: float) -> list[Point]:
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    half = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [
        (
            x + cos * i * width_m / 2 - sin * j * depth_m / 2,
            y + sin * i * width_m / 2 + cos * j * depth_m / 2,
        )
        for i, j in half
    ]


def _round_pillar(x: float, y: float, radius_m: float, sides: int = 12) -> list[Point]:
    turns = [2 * math.pi * k / sides for k in range(sides)]
    return [(x + radius_m * math.cos(a), y + radius_m * math.sin(a)) for a in turns]


def _run(points: list[Point], materials: list[Material]) -> list[Wall]:
    """A run of full-height walls from point to point."""
    pairs = zip(points[:-1], points[1:], materials, strict=True)
    return [Wall(a, b, 0.0, HEIGHT_M, material) for a, b, material in pairs]


def _outer_walls() -> list[Wall]:
    cream, sage = _plaster((214, 200, 172)), _plaster((172, 196, 176))
    sky = _plaster((214, 200, 172), feature=(150, 205, 240))
    poster = _plaster((214, 200, 172), feature=(196, 70, 60))
    sky_east = _plaster((172, 196, 176), feature=(150, 205, 240))
    art = _plaster((172, 196, 176), feature=(70, 84, 160))
    south = _run(
        [(0, 0), (2.2, 0), (3.6, 0), (7, 0), (9.9, 0), (10.9, 0), (12, 0)],
        [cream, sky, cream, sage, art, sage],
    )
    east = _run([(12, 0), (12, 3), (12, 5), (12, 8)], [sage, sky_east, sage])
    north = _run(
        [(12, 8), (10.4, 8), (9.2, 8), (7, 8), (5.2, 8), (4.2, 8), (0, 8)],
        [sage, art, sage, cream, poster, cream],
    )
    west = _run([(0, 8), (0, 4), (0, 3.2), (0, 2.2), (0, 0)], [cream, cream, poster, cream])
    return south + east + north + west


def _inner_walls() -> list[Wall]:
    clay = _plaster((206, 158, 122))
    frame = Material(((HEIGHT_M, (120, 84, 58)),) * 4, (96, 66, 46), 0.5, panel_m=10.0)
    walls = [
        wall
        for corners, material in (
            (_block(6.94, 0.0, 7.06, 3.1), clay),
            (_block(6.94, 4.5, 7.06, 8.0), clay),
            (_block(6.9, 3.1, 7.1, 3.2), frame),
            (_block(6.9, 4.4, 7.1, 4.5), frame),
            (_block(0.0, 5.0, 3.3, 5.12), clay),
            (_block(9.5, 0.0, 9.62, 2.9), clay),
        )
        for wall in _solid(corners, 0.0, HEIGHT_M, material)
    ]
    lintel = Material(
        ((2.2, (120, 84, 58)),) + ((HEIGHT_M, (206, 158, 122)),) * 3, (96, 66, 46), 0.5, 10.0
    )
    return walls + _solid(_block(6.92, 3.2, 7.08, 4.4), DOOR_HEIGHT_M, HEIGHT_M, lintel)


def _obstacles() -> list[Wall]:
    red, blue, green = (200, 52, 44), (44, 92, 190), (54, 150, 74)
    yellow, white, violet = (228, 184, 48), (225, 225, 220), (130, 72, 160)
    boxes = (
        (_turned_box(3.3, 2.4, 0.7, 0.5, 0.4), 0.5, red, white),
        (_turned_box(0.6, 0.6, 0.6, 0.6, 0.0), 0.75, blue, yellow),
        (_turned_box(6.3, 0.6, 0.7, 0.5, 0.1), 0.4, green, white),
        (_turned_box(6.35, 5.9, 0.6, 0.8, -0.2), 0.65, yellow, (60, 60, 60)),
        (_turned_box(0.8, 6.0, 0.9, 0.5, 0.3), 1.3, violet, white),
        (_turned_box(9.7, 5.2, 0.6, 0.5, 0.6), 0.45, red, yellow),
        (_turned_box(11.3, 7.3, 0.7, 0.7, 0.0), 1.7, blue, white),
        (_turned_box(10.9, 1.2, 0.9, 0.6, -0.3), 0.6, green, yellow),
        (_turned_box(8.2, 1.4, 0.6, 0.6, 0.7), 0.7, yellow, red),
    )
    faces = [
        face
        for corners, height_m, colour, stripe in boxes
        for face in _solid(corners, 0.0, height_m, _painted(colour, height_m, stripe, 0.8))
    ]
    for x, y, radius_m in ((4.9, 3.0, 0.18), (7.9, 6.9, 0.2), (2.0, 2.5, 0.15)):
        pillar = _painted((196, 190, 180), HEIGHT_M, (205, 120, 50), 0.4)
        faces += _solid(_round_pillar(x, y, radius_m), 0.0, HEIGHT_M, pillar)
    return faces

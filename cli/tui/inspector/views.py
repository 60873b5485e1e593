"""What can be drawn of a message as a whole: its picture, or its points from above."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap
from typing import Any, NamedTuple, Protocol

import numpy as np
from rich.cells import cell_len
from textual.strip import Strip

from dimos_record.cli.tui.inspector.blocks import coloured, half_blocks
from dimos_record.cli.tui.inspector.pictures import (
    Picture,
    Pixels,
    compressed_picture,
    grid_picture,
    image_picture,
    ramp,
)
from dimos_record.cli.tui.inspector.plots import (
    braille,
    dot_places,
    extent_of,
    scatter_size,
)
from dimos_record.cli.tui.inspector.points import (
    Points,
    cloud_points,
    foxglove_cloud_points,
    listed_points,
    path_points,
    scan_points,
)
from dimos_record.messages import type_name_of

_DARKEST = 0.25
"""Of the colours from dark to bright, where those of points begin."""


class Room(NamedTuple):
    """What a drawing has room for."""

    columns: int
    lines: int
    caption_lines: int = 1
    """Besides `lines`."""
    few_colours: bool = False
    """The terminal has 256 colours."""


class Drawing(NamedTuple):
    """Lines of characters, and lines of what to say of them."""

    lines: list[Strip]
    caption: list[str]

    @property
    def size(self) -> tuple[int, int]:
        """Characters across, and lines."""
        widths = [*(strip.cell_length for strip in self.lines), *map(cell_len, self.caption)]
        return max(widths, default=0), len(self.lines) + len(self.caption)


def _drawing(lines: list[Strip], caption: str, room: Room) -> Drawing:
    """A drawing whose caption is as wide as there is room."""
    width, most = max(1, room.columns), room.caption_lines
    return Drawing(lines, wrap(caption, width, max_lines=most, placeholder="…"))


class View(Protocol):
    """Something that can be drawn in any size."""

    @property
    def proportions(self) -> tuple[float, float]:
        """Width and height, in any unit, as it is best seen."""

    def draw(self, room: Room) -> Drawing:
        """Draw it as large as there is room.

        Raises:
            DecodeError, MissingExtra: it cannot be drawn.
        """


class PictureView(NamedTuple):
    """A picture, drawn with half blocks."""

    proportions: tuple[float, float]
    picture: Callable[[int, int], Picture]
    """Makes a preview of at most so many pixels, across and down."""

    def draw(self, room: Room) -> Drawing:
        """Draw it; see `View`."""
        pixels, caption = self.picture(room.columns, 2 * room.lines)
        return _drawing(half_blocks(pixels, few_colours=room.few_colours), caption, room)


class PointsView(NamedTuple):
    """Points from above in braille, x to the right and y upwards; colours tell their height."""

    points: Points

    @property
    def proportions(self) -> tuple[float, float]:
        """Width and height in metres."""
        return extent_of(self.points.x, self.points.y).proportions

    def draw(self, room: Room) -> Drawing:
        """Draw them; see `View`."""
        x, y, z, what = self.points
        extent = extent_of(x, y)
        columns, lines = scatter_size(extent, room.columns, room.lines)
        down, across = dot_places(x, y, extent, columns, lines)
        dots = np.zeros((4 * lines, 2 * columns), np.bool_)
        dots[down, across] = True
        drawn = braille(dots)
        caption = f"{what}, x {_metres(extent[:2])}, y {_metres(extent[2:])}"
        share = np.full((lines, columns), 0.5)
        if z is not None:
            low, high = float(z.min()), float(z.max())
            highest = np.full((lines, columns), low)
            np.maximum.at(highest, (down // 4, across // 2), z)
            share = _DARKEST + (1 - _DARKEST) * (highest - low) / (high - low or 1.0)
            caption += f", z {_metres((low, high))}"
        return _drawing(coloured(drawn, ramp(share)), caption, room)


def _metres(limits: tuple[float, ...]) -> str:
    low, high = limits
    return f"{round(low, 4) + 0.0:.4g}..{round(high, 4) + 0.0:.4g} m"


def view_of(message: Any) -> View | None:
    """How a message as a whole can be drawn; None if it is best read.

    Raises:
        DecodeError: its own description of its data does not fit the data.
    """
    maker = _VIEWS.get(type_name_of(message))
    return None if maker is None else maker(message)


def _image(message: Any) -> View:
    pixels = Pixels(
        message.width,
        message.height,
        message.encoding,
        message.step,
        bool(getattr(message, "is_bigendian", False)),
        message.data,
    )
    proportions = (max(1, message.width), max(1, message.height))
    return PictureView(proportions, lambda width, height: image_picture(pixels, width, height))


def _compressed(message: Any) -> View:
    data, encoding = message.data, message.format
    return PictureView(
        (4, 3), lambda width, height: compressed_picture(data, encoding, width, height)
    )


def _grid(message: Any) -> View:
    proportions = (max(1, message.info.width), max(1, message.info.height))
    return PictureView(proportions, lambda width, height: grid_picture(message, width, height))


def _of_points(find: Callable[[Any], Points | None]) -> Callable[[Any], View | None]:
    def make(message: Any) -> View | None:
        points = find(message)
        return None if points is None else PointsView(points)

    return make


_VIEWS: dict[str, Callable[[Any], View | None]] = {
    "sensor_msgs.Image": _image,
    "foxglove_msgs.RawImage": _image,
    "sensor_msgs.CompressedImage": _compressed,
    "foxglove_msgs.CompressedImage": _compressed,
    "nav_msgs.OccupancyGrid": _grid,
    "sensor_msgs.LaserScan": _of_points(scan_points),
    "foxglove_msgs.LaserScan": _of_points(scan_points),
    "sensor_msgs.PointCloud2": _of_points(cloud_points),
    "foxglove_msgs.PointCloud": _of_points(foxglove_cloud_points),
    "sensor_msgs.PointCloud": _of_points(listed_points),
    "nav_msgs.Path": _of_points(path_points),
    "geometry_msgs.PoseArray": _of_points(path_points),
    "foxglove_msgs.PosesInFrame": _of_points(path_points),
}

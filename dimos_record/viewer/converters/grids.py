"""Maps of cells: nav_msgs.OccupancyGrid and GridCells."""

from __future__ import annotations

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Converter, Shown


def occupancy_grid(data: bytes) -> list[Shown]:
    """nav_msgs.OccupancyGrid: a picture on the floor in the colours of RViz's map."""
    import rerun as rr

    wire = Wire("nav_msgs.OccupancyGrid", data)
    (size,) = wire.unpack("i")
    wire.header()
    _sec, _nsec, resolution, width, height, *origin = wire.unpack("iifii7d")
    if min(width, height) < 1 or size < width * height or not resolution > 0:
        raise DecodeError(
            f"The OccupancyGrid says {width} x {height} cells of {resolution:g} m and has {size}."
        )
    # Rows go up in ROS, from the origin, and down in Rerun's pictures.
    cells = wire.array("u1", height, width)[::-1]
    form = rr.components.ImageFormat(
        width=width, height=height, color_model="L", channel_datatype="U8"
    )
    grid = rr.GridMap(
        data=cells.tobytes(),
        format=form,
        cell_size=resolution,
        translation=origin[:3],
        quaternion=rr.Quaternion(xyzw=origin[3:] if any(origin[3:]) else (0, 0, 0, 1)),
        colormap=rr.components.Colormap.RvizMap,
    )
    return [Shown("", grid)]


def grid_cells(data: bytes) -> list[Shown]:
    """nav_msgs.GridCells: flat boxes."""
    import rerun as rr

    wire = Wire("nav_msgs.GridCells", data)
    (count,) = wire.unpack("i")
    wire.header()
    width, height = wire.unpack("ff")
    centers = wire.array(">f8", count, 3).astype(np.float32)
    half_sizes = np.broadcast_to([width / 2, height / 2, 0.0], centers.shape)
    return [Shown("", rr.Boxes3D(centers=centers, half_sizes=half_sizes, fill_mode="solid"))]


CONVERTERS = {
    "nav_msgs.GridCells": Converter(grid_cells, "3d"),
    "nav_msgs.OccupancyGrid": Converter(occupancy_grid, "3d"),
}

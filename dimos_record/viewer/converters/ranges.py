"""Distances: sensor_msgs.LaserScan and Range."""

from __future__ import annotations

import math

import numpy as np

from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Converter, Shown
from dimos_record.viewer.converters.colors import by_value
from dimos_record.viewer.converters.curves import curves

SCAN_COLOR = (255, 90, 60)
_ARC_STEPS = 16


def laser_scan(data: bytes) -> list[Shown]:
    """sensor_msgs.LaserScan: points, without those beyond the scanner's range.

    Their colours are the intensities if there are any.
    """
    import rerun as rr

    wire = Wire("sensor_msgs.LaserScan", data)
    range_count, intensity_count = wire.unpack("2i")
    wire.header()
    angle_min, _max, increment, _time, _scan, range_min, range_max = wire.unpack("7f")
    ranges = wire.array(">f4", range_count).astype(np.float32)
    intensities = wire.array(">f4", intensity_count).astype(np.float32)
    kept = np.isfinite(ranges) & (ranges >= range_min) & (ranges <= (range_max or np.inf))
    angles = (angle_min + increment * np.arange(range_count))[kept]
    distances = ranges[kept]
    positions = np.zeros((len(distances), 3), np.float32)
    positions[:, 0] = distances * np.cos(angles)
    positions[:, 1] = distances * np.sin(angles)
    has_colors = intensity_count == range_count and intensities.any()
    colors = by_value(intensities[kept]) if has_colors else SCAN_COLOR
    return [Shown("", rr.Points3D(positions, colors=colors))]


def distance(data: bytes) -> list[Shown]:
    """sensor_msgs.Range: the front of the cone that is free, and a curve of the distance (m)."""
    import rerun as rr

    wire = Wire("sensor_msgs.Range", data)
    wire.header()
    _kind, field_of_view, range_min, range_max, found = wire.unpack("B4f")
    strips = []
    if math.isfinite(found) and range_min <= found <= (range_max or math.inf):
        angles = np.linspace(-field_of_view / 2, field_of_view / 2, _ARC_STEPS)
        arc = found * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
        strips.append(np.concatenate([[[0, 0, 0]], arc, [[0, 0, 0]]]))
    shown = [Shown("", rr.LineStrips3D(strips, colors=SCAN_COLOR, radii=0.01))]
    if math.isfinite(found):
        shown.append(curves("range", ["range"], [found]))
    return shown


CONVERTERS = {
    "sensor_msgs.LaserScan": Converter(laser_scan, "3d"),
    "sensor_msgs.Range": Converter(distance, "3d", ("range",)),
}

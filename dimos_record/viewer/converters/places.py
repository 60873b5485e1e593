"""Places on the earth: sensor_msgs.NavSatFix."""

from __future__ import annotations

import math

from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Converter, Shown
from dimos_record.viewer.converters.curves import curves

FIX_COLOR = (255, 60, 60)
_NO_FIX = -1


def nav_sat_fix(data: bytes) -> list[Shown]:
    """sensor_msgs.NavSatFix: a point on the map and a curve of the height (m); nothing, no fix."""
    import rerun as rr

    wire = Wire("sensor_msgs.NavSatFix", data)
    wire.header()
    status, _service, latitude, longitude, altitude = wire.unpack("bh3d")
    shown = []
    if status != _NO_FIX and math.isfinite(latitude) and math.isfinite(longitude):
        here = rr.GeoPoints(
            lat_lon=[(latitude, longitude)],
            radii=rr.components.Radius.ui_points(6.0),
            colors=FIX_COLOR,
        )
        shown.append(Shown("", here))
        if math.isfinite(altitude):
            shown.append(curves("altitude", ["altitude"], [altitude]))
    return shown


CONVERTERS = {"sensor_msgs.NavSatFix": Converter(nav_sat_fix, "map", ("altitude",))}

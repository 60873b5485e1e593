"""Our converters to Rerun and dimos's own show the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dimos_record.viewer.converters import converter_for

from ..viewer.made import HEADER, made, values

pytestmark = pytest.mark.dimos

POSE = {"position": {"x": 1.0, "y": 2.0, "z": 3.0}, "orientation": {"z": 0.6, "w": 0.8}}


def both(type_name: str, **fields: Any) -> tuple[Any, Any]:
    """The archetype that ours and dimos make of a message."""
    from dimos.msgs.helpers import resolve_msg_type

    data = made(type_name, **fields)
    converter = converter_for(type_name)
    cls = resolve_msg_type(type_name)
    assert converter is not None
    assert cls is not None
    theirs = cls.lcm_decode(data).to_rerun()
    return converter.convert(data)[0].archetype, theirs[0][1] if isinstance(
        theirs, list
    ) else theirs


def test_points_are_where_dimos_has_them() -> None:
    points = np.random.default_rng(1).normal(size=(50, 4)).astype("<f4")
    names = ("x", "y", "z", "intensity")
    ours, theirs = both(
        "sensor_msgs.PointCloud2",
        header=HEADER,
        height=1,
        width=50,
        point_step=16,
        row_step=800,
        fields=[
            {"name": name, "offset": 4 * i, "datatype": 7, "count": 1}
            for i, name in enumerate(names)
        ],
        data=points.tobytes(),
    )
    assert values(ours, "positions") == values(theirs, "positions") == points[:, :3].tolist()


def test_depth_images_hold_the_same_numbers() -> None:
    depth = np.arange(12, dtype="<u2")
    size = {"width": 4, "height": 3, "step": 8, "encoding": "16UC1"}
    ours, theirs = both("sensor_msgs.Image", header=HEADER, data=depth.tobytes(), **size)
    assert values(ours, "buffer") == values(theirs, "buffer")
    assert values(ours, "format") == values(theirs, "format")


def test_transforms_and_boxes_are_the_same() -> None:
    transform = {"translation": POSE["position"], "rotation": POSE["orientation"]}
    one = {"header": {"frame_id": "map"}, "child_frame_id": "odom", "transform": transform}
    ours, theirs = both("tf2_msgs.TFMessage", transforms=[one])
    for field in ("translation", "quaternion"):
        assert values(ours, field) == values(theirs, field)

    box = {"center": POSE, "size": {"x": 1.0, "y": 2.0, "z": 3.0}}
    ours, theirs = both("vision_msgs.Detection3DArray", header=HEADER, detections=[{"bbox": box}])
    for field in ("centers", "half_sizes", "quaternions"):
        assert values(ours, field) == values(theirs, field)

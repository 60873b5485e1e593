"""Cameras: sensor_msgs.CameraInfo."""

from __future__ import annotations

from typing import Any

from dimos_record.errors import DecodeError
from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Converter, Shown
from dimos_record.viewer.converters.transforms import frame_entity

_IMAGE_PLANE = "/image plane"
IMAGE_PLANE_M = 0.5
"""From the camera to its picture in the 3D scene."""


def camera_info(data: bytes) -> list[Shown]:
    """sensor_msgs.CameraInfo: a pinhole between the camera's frame and its image plane.

    The matrix is K, not that of the rectified picture (P): topics of raw pictures are the rule.
    Where a robot has only P, K is that without its last column.
    """
    import rerun as rr

    wire = Wire("sensor_msgs.CameraInfo", data)
    (distortions,) = wire.unpack("i")
    frame = wire.header()
    height, width = wire.unpack("ii")
    wire.string()
    wire.array(">f8", distortions)
    k = wire.array(">f8", 3, 3)
    wire.array(">f8", 3, 3)
    p = wire.array(">f8", 3, 4)
    matrix: Any = k if k[0, 0] else p[:, :3]
    if not (matrix[0, 0] and matrix[1, 1] and frame):
        raise DecodeError("The CameraInfo has no focal length or no frame: not calibrated.")
    plane = image_plane(frame)
    pinhole = rr.Pinhole(
        image_from_camera=matrix.astype(float),
        resolution=(width, height) if width and height else None,
        image_plane_distance=IMAGE_PLANE_M,
        parent_frame=frame,
        child_frame=plane,
    )
    return [Shown(f"{frame_entity(frame)}/camera", pinhole, camera=plane)]


def image_plane(frame: str) -> str | None:
    """The frame of the pictures of a camera that stands in a frame; None if the frame is not known.

    Pictures find their camera by it: they have the same frame in their header.
    """
    return frame + _IMAGE_PLANE if frame else None


def is_image_plane(frame: str) -> bool:
    """Whether a frame is one of `image_plane`."""
    return frame.endswith(_IMAGE_PLANE)


CONVERTERS = {"sensor_msgs.CameraInfo": Converter(camera_info, "3d")}

"""Transforms: tf2_msgs.TFMessage."""

from __future__ import annotations

from dimos_record.messages import FrameTransform, transforms
from dimos_record.messages.wire import Wire, clean_frame
from dimos_record.viewer.converters.base import Converter, Shown

FRAMES = "/frames"
"""Below this entity each frame has its own, whichever topic its transforms come from: Rerun wants
all transforms of a frame on one entity."""


def tf_message(data: bytes) -> list[Shown]:
    """tf2_msgs.TFMessage: a transform on the entity of each child frame."""
    return [_transform(transform) for transform in transforms(data)]


def transform_stamped(data: bytes) -> list[Shown]:
    """geometry_msgs.TransformStamped: as one in a TFMessage."""
    wire = Wire("geometry_msgs.TransformStamped", data)
    frame, child = wire.header(), wire.string()
    return [_transform(FrameTransform(frame, child, 0, wire.unpack("7d")))]


def frame_entity(frame: str) -> str:
    """The path of a frame's own entity."""
    import rerun as rr

    return f"{FRAMES}/{rr.escape_entity_path_part(frame)}"


def _transform(transform: FrameTransform) -> Shown:
    import rerun as rr

    parent, child = clean_frame(transform.frame_id), clean_frame(transform.child_frame_id)
    archetype = rr.Transform3D(
        translation=transform.pose[:3],
        quaternion=rr.Quaternion(xyzw=transform.pose[3:]),
        parent_frame=parent,
        child_frame=child,
    )
    return Shown(frame_entity(child), archetype, frame=child, parent=parent)


CONVERTERS = {
    "geometry_msgs.TransformStamped": Converter(transform_stamped, "transforms"),
    "tf2_msgs.TFMessage": Converter(tf_message, "transforms"),
}

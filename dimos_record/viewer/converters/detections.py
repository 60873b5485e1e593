"""What was detected: boxes in pictures and in space, with what they are and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from dimos_record.messages import decode
from dimos_record.messages.wire import clean_frame
from dimos_record.viewer.converters.base import Convert, Converter, Shown
from dimos_record.viewer.converters.cameras import image_plane

_CLASSES = 2**16


def detections_2d(type_name: str) -> Convert:
    """A converter for vision_msgs.Detection2D and its array. Turned boxes are drawn upright."""

    def convert(data: bytes) -> list[Shown]:
        message = decode(type_name, data)
        found = _items(message, "detections")
        return [_boxes_2d(message, [one.bbox for one in found], list(map(_label, found)))]

    return convert


def detections_3d(type_name: str) -> Convert:
    """A converter for vision_msgs.Detection3D and its array."""

    def convert(data: bytes) -> list[Shown]:
        found = _items(decode(type_name, data), "detections")
        return [_boxes_3d([one.bbox for one in found], list(map(_label, found)))]

    return convert


def boxes_2d(type_name: str) -> Convert:
    """A converter for vision_msgs.BoundingBox2D and its array."""

    def convert(data: bytes) -> list[Shown]:
        message = decode(type_name, data)
        return [_boxes_2d(message, _items(message, "boxes"), [])]

    return convert


def boxes_3d(type_name: str) -> Convert:
    """A converter for vision_msgs.BoundingBox3D and its array."""

    def convert(data: bytes) -> list[Shown]:
        return [_boxes_3d(_items(decode(type_name, data), "boxes"), [])]

    return convert


def _items(message: Any, field: str) -> list[Any]:
    """What an array holds; the message itself if it is not one."""
    return list(getattr(message, field, [message]))


def _label(detection: Any) -> str:
    """The likeliest class with its score, and the id: `person 0.92 #7`."""
    best = max(
        (result.hypothesis for result in detection.results),
        key=lambda hypothesis: float(hypothesis.score),
        default=None,
    )
    parts = [] if best is None else [str(best.class_id), f"{best.score:.2f}"]
    return " ".join([*parts, *([f"#{detection.id}"] if detection.id else [])])


def _classes(labels: Iterable[str]) -> list[int]:
    """A number for each label's class, always the same: Rerun colours by it."""
    return [crc32(label.partition(" ")[0].encode()) % _CLASSES for label in labels]


def _boxes_2d(message: Any, boxes: Sequence[Any], labels: Sequence[str]) -> Shown:
    import rerun as rr

    archetype = rr.Boxes2D(
        centers=[(box.center.position.x, box.center.position.y) for box in boxes],
        sizes=[(box.size_x, box.size_y) for box in boxes],
        labels=labels or None,
        class_ids=_classes(labels) or None,
    )
    header = getattr(message, "header", None)
    frame = None if header is None else image_plane(clean_frame(header.frame_id))
    return Shown("", archetype, frame=frame)


def _boxes_3d(boxes: Sequence[Any], labels: Sequence[str]) -> Shown:
    import rerun as rr

    turns = [box.center.orientation for box in boxes]
    archetype = rr.Boxes3D(
        centers=[(at.x, at.y, at.z) for at in (box.center.position for box in boxes)],
        half_sizes=[(box.size.x / 2, box.size.y / 2, box.size.z / 2) for box in boxes],
        quaternions=[
            rr.Quaternion(xyzw=(q.x, q.y, q.z, q.w) if q.x or q.y or q.z or q.w else (0, 0, 0, 1))
            for q in turns
        ],
        labels=labels or None,
        class_ids=_classes(labels) or None,
    )
    return Shown("", archetype)


CONVERTERS = {
    **{
        name: Converter(detections_2d(name), "detections2d")
        for name in ("vision_msgs.Detection2D", "vision_msgs.Detection2DArray")
    },
    **{
        name: Converter(boxes_2d(name), "detections2d")
        for name in ("vision_msgs.BoundingBox2D", "vision_msgs.BoundingBox2DArray")
    },
    **{
        name: Converter(detections_3d(name), "3d")
        for name in ("vision_msgs.Detection3D", "vision_msgs.Detection3DArray")
    },
    **{
        name: Converter(boxes_3d(name), "3d")
        for name in ("vision_msgs.BoundingBox3D", "vision_msgs.BoundingBox3DArray")
    },
}

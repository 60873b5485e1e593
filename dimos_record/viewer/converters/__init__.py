"""What a message looks like in Rerun: from its wire bytes to Rerun's archetypes, type by type.

A converter knows one message and nothing else: neither its topic nor other messages. Where an
entity is placed in space is up to `dimos_record.viewer.frames`. Importing this package imports
neither rerun nor dimos_lcm.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from dimos_record.messages import pose_of
from dimos_record.messages.layout import Path, Plan, marking

Kind = Literal["3d", "image", "plot", "map", "text", "transforms", "detections2d"]
"""Where a type is shown: in the 3D scene, as a camera's picture, as curves, on a map of the world
(geographic), in the text log, as the frames of the scene, or as boxes on a camera's picture."""

Point = tuple[float, float, float]
"""x, y, z (m)."""

_FRAME_IN_HEADER = 12
_HEADER_BYTES = 16
"""Of a header, as far as the end of the length of its frame's name."""


class Shown(NamedTuple):
    """One thing to log."""

    path: str
    """Below the topic's entity; `""` is that entity. With a `/` in front it is a path of its own,
    the same whatever the topic."""
    archetype: Any
    static: bool = False
    names: tuple[str, ...] = ()
    """Of the curves, if the archetype is a Scalars with several: log them once per path, static,
    as `rr.SeriesLines(names=...)`, and again when they change."""
    frame: str | None = None
    """The frame that it is in, where that differs from the frame of the message."""
    parent: str | None = None
    """The frame that ``frame`` is in by this, if it is a transform."""


Convert = Callable[[bytes], Sequence[Shown]]
"""What to log for the wire bytes of a message.

It raises DecodeError if the bytes are truncated, of another type, or hold what cannot be shown.
"""


class Converter(NamedTuple):
    """How to show the messages of one type."""

    convert: Convert
    kind: Kind
    curves: tuple[str, ...] = ()
    """Paths, below the topic's entity, under which its curves are; () if it has none. A type of
    another kind may have some: the speeds of an Odometry."""


class _Entry(NamedTuple):
    module: str
    function: str
    kind: Kind
    curves: tuple[str, ...] = ()


_TABLE: dict[str, _Entry] = {
    "geometry_msgs.PoseStamped": _Entry("poses", "pose_stamped", "3d"),
    "sensor_msgs.CameraInfo": _Entry("cameras", "camera_info", "3d"),
    "sensor_msgs.CompressedImage": _Entry("images", "compressed_image", "image"),
    "sensor_msgs.Image": _Entry("images", "image", "image"),
    "sensor_msgs.PointCloud2": _Entry("clouds", "point_cloud2", "3d"),
    "tf2_msgs.TFMessage": _Entry("transforms", "tf_message", "transforms"),
}


@lru_cache(maxsize=4096)
def converter_for(type_name: str) -> Converter | None:
    """How to show the messages of a type; None if we do not know."""
    entry = _TABLE.get(type_name)
    if entry is None:
        return None
    module = importlib.import_module(f"{__name__}.{entry.module}")
    return Converter(getattr(module, entry.function), entry.kind, entry.curves)


def frame_of(type_name: str, data: bytes) -> str | None:
    """The frame in a message's own header; None if it has no header, or the header names none.

    Raises:
        DecodeError: the bytes are of another type or version, or they end too early.
    """
    plan = _header_plan(type_name)
    if plan is None:
        return None
    position = plan.locate(data, _HEADER_BYTES)[0] + _FRAME_IN_HEADER
    length = int.from_bytes(data[position : position + 4], "big")
    name = bytes(data[position + 4 : position + 4 + length]).removesuffix(b"\0")
    return clean_frame(name.decode("utf-8", "replace")) or None


def position_of(type_name: str, data: bytes) -> Point | None:
    """Where the thing is that a message is about, in the message's frame.

    Returns:
        None if the type has no position of its own, or the bytes are truncated or of another type.
    """
    pose = pose_of(type_name, data)
    return None if pose is None else pose[:3]


def clean_frame(name: str) -> str:
    """The name of a frame as tf2 has it: without the `/` that tf1 put in front."""
    return name.lstrip("/")


@lru_cache(maxsize=4096)
def _header_plan(type_name: str) -> Plan | None:
    def is_own(path: Path, name: str) -> bool:
        return name == "std_msgs.Header" and len(path) <= 1

    return marking(type_name, is_own, first_only=True)

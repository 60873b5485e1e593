"""Message types: name to class, header stamps and poses from raw bytes, decoding, latched topics.

What works on raw bytes finds its way by the description of the type (`layout.py`) and decodes
nothing.
Importing this package imports neither dimos_lcm nor numpy.
"""

from __future__ import annotations

from dimos_record.messages.coding import decode, encode
from dimos_record.messages.latched import is_latched
from dimos_record.messages.poses import FrameTransform, child_frames, pose_of, transforms
from dimos_record.messages.registry import (
    fingerprint,
    known_types,
    message_class,
    type_name_of,
)
from dimos_record.messages.stamps import shift_stamps, stamp_ns, stamp_reader, stamp_shifter
from dimos_record.messages.text import summarize, to_plain

__all__ = [
    "FrameTransform",
    "child_frames",
    "decode",
    "encode",
    "fingerprint",
    "is_latched",
    "known_types",
    "message_class",
    "pose_of",
    "shift_stamps",
    "stamp_ns",
    "stamp_reader",
    "stamp_shifter",
    "summarize",
    "to_plain",
    "transforms",
    "type_name_of",
]

"""Depth images, compressed as ROS's compressed_depth_image_transport does it.

Behind 12 bytes (i32 format, f32 A, f32 B, little-endian) there is a PNG of 16 bits, or RVL. Depths
of 16 bits are in it as they are, those of 32 bits as A / depth + B;
https://github.com/ros-perception/image_transport_plugins.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.viewer.converters.files import decoded

Array = np.ndarray[Any, np.dtype[Any]]

DEPTH_UNITS_PER_M = {"16UC1": 1000.0, "32FC1": 1.0}
"""Encodings of depth images: those of 16 bits are in millimetres (ROS REP 118)."""

_CONFIG = struct.Struct("<iff")
_PNG = b"\x89PNG"


def compressed_depth(content: bytes, format_name: str) -> Any:
    """The depth image of a CompressedImage whose format is `16UC1; compressedDepth png`, say.

    Raises:
        DecodeError: it is of another encoding, or damaged.
    """
    import rerun as rr

    encoding = format_name.partition(";")[0].strip()
    if encoding not in DEPTH_UNITS_PER_M or len(content) < _CONFIG.size:
        raise DecodeError(f"The compressed depth image in format {format_name!r} cannot be shown.")
    picture = content[_CONFIG.size :]
    if not picture.startswith(_PNG):
        return rr.EncodedDepthImage(content, media_type="application/rvl")
    # Rerun decodes PNG as well, but up to 0.32 its colours then stand for 0 to 65 m.
    depths = decoded(picture, "png")
    if depths.ndim != 2 or depths.dtype == np.bool_:
        raise DecodeError(
            f"The compressed depth image in format {format_name!r} has colours or black and white "
            "instead of depths."
        )
    if encoding == "32FC1":
        _format, a, b = _CONFIG.unpack_from(content)
        depths = _distances(depths.astype(np.float32), a, b)
    return rr.DepthImage(depths, meter=DEPTH_UNITS_PER_M[encoding])


def _distances(inverse: Array, a: float, b: float) -> Array:
    """Metres, NaN where there are none."""
    missing = np.full_like(inverse, np.nan)
    distances: Array = np.divide(
        np.float32(a), inverse - np.float32(b), out=missing, where=inverse > 0
    )
    return distances

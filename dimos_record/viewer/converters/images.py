"""Pictures: sensor_msgs.Image and sensor_msgs.CompressedImage."""

from __future__ import annotations

from typing import Any

from dimos_record.messages.pixels import (
    Picture,
    color_pixels,
    raw_pixels,
    read_image,
    yuv_bytes,
)
from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Converter, Shown
from dimos_record.viewer.converters.cameras import image_plane
from dimos_record.viewer.converters.depth import DEPTH_UNITS_PER_M, compressed_depth
from dimos_record.viewer.converters.files import decoded

_MEDIA_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
"""Of pictures that Rerun decodes, by their first bytes."""


def image(data: bytes) -> list[Shown]:
    """sensor_msgs.Image: a picture, or a depth image with its scale."""
    frame, picture = read_image(data)
    plane = image_plane(frame)
    if picture.encoding in ("jpeg", "png"):  # how dimos puts a compressed picture into an Image
        content = picture.content.tobytes()
        return [Shown("", _encoded(content, picture.encoding), frame=plane)]
    return [Shown("", _raw(picture), frame=plane)]


def compressed_image(data: bytes) -> list[Shown]:
    """sensor_msgs.CompressedImage: JPEG, PNG and what else Rerun decodes, and compressed depth."""
    wire = Wire("sensor_msgs.CompressedImage", data)
    (size,) = wire.unpack("i")
    plane = image_plane(wire.header())
    format_name = wire.string()
    content = wire.array("u1", size).tobytes()
    if "compressedDepth" in format_name:
        return [Shown("", compressed_depth(content, format_name), frame=plane)]
    return [Shown("", _encoded(content, format_name), frame=plane)]


def _raw(picture: Picture) -> Any:
    import rerun as rr

    if picture.encoding in DEPTH_UNITS_PER_M:
        return rr.DepthImage(raw_pixels(picture), meter=DEPTH_UNITS_PER_M[picture.encoding])
    width, height = picture.width, picture.height
    yuv = yuv_bytes(picture)
    if yuv is not None:
        return rr.Image(
            bytes=yuv.content, width=width, height=height, pixel_format=yuv.pixel_format
        )
    model, pixels = color_pixels(picture)
    return rr.Image(
        bytes=pixels.tobytes(),
        width=width,
        height=height,
        color_model=model,
        datatype=pixels.dtype.type,
    )


def _encoded(content: bytes, format_name: str) -> Any:
    """What Rerun decodes as it is, and the pixels of what only Pillow does: WebP, TIFF, BMP."""
    import rerun as rr

    for start, media_type in _MEDIA_TYPES.items():
        if content.startswith(start):
            return rr.EncodedImage(contents=content, media_type=media_type)
    return rr.Image(decoded(content, format_name, "RGB"))


CONVERTERS = {
    "sensor_msgs.CompressedImage": Converter(compressed_image, "image"),
    "sensor_msgs.Image": Converter(image, "image"),
}

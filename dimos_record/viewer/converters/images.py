"""Pictures: sensor_msgs.Image and sensor_msgs.CompressedImage."""

from __future__ import annotations

from typing import Any

from dimos_record.errors import DecodeError
from dimos_record.viewer.converters.base import Converter, Shown
from dimos_record.viewer.converters.cameras import image_plane
from dimos_record.viewer.converters.pixels import Picture, color_pixels, raw_pixels, yuv_bytes
from dimos_record.viewer.converters.wire import Wire

DEPTH_UNITS_PER_M = {"16UC1": 1000.0, "32FC1": 1.0}
"""Encodings of depth images: those of 16 bits are in millimetres (ROS REP 118)."""

_MEDIA_TYPES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
    b"GIF8": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
}
"""By the first bytes of a compressed picture."""


def image(data: bytes) -> list[Shown]:
    """sensor_msgs.Image: a picture, or a depth image with its scale."""
    wire = Wire("sensor_msgs.Image", data)
    (size,) = wire.unpack("i")
    plane = image_plane(wire.header())
    height, width = wire.unpack("ii")
    encoding = wire.string()
    is_bigendian, step = wire.unpack("Bi")
    content = wire.array("u1", size)
    if encoding in ("jpeg", "png"):  # how dimos puts a compressed picture into an Image
        return [Shown("", _encoded(content.tobytes(), encoding), frame=plane)]
    picture = Picture(width, height, encoding, bool(is_bigendian), step, content)
    return [Shown("", _raw(picture), frame=plane)]


def compressed_image(data: bytes) -> list[Shown]:
    """sensor_msgs.CompressedImage: jpeg, png and what else the viewer decodes."""
    wire = Wire("sensor_msgs.CompressedImage", data)
    (size,) = wire.unpack("i")
    plane = image_plane(wire.header())
    format_name = wire.string()
    return [Shown("", _encoded(wire.array("u1", size).tobytes(), format_name), frame=plane)]


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
    import rerun as rr

    found = (media for start, media in _MEDIA_TYPES.items() if content.startswith(start))
    media_type = next(found, None)
    if media_type is None:
        raise DecodeError(
            f"The compressed picture in format {format_name!r} is of no kind that Rerun decodes "
            "(JPEG, PNG, WebP, BMP, GIF, TIFF)."
        )
    return rr.EncodedImage(contents=content, media_type=media_type)


CONVERTERS = {
    "sensor_msgs.CompressedImage": Converter(compressed_image, "image"),
    "sensor_msgs.Image": Converter(image, "image"),
}

"""The pixels of a sensor_msgs.Image, in every encoding that ROS has, found in its wire bytes.

The names of the encodings are those of `sensor_msgs/image_encodings.hpp`. Rows may be padded
(``step``) and numbers of more than a byte may be big-endian.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.messages.wire import Wire

Array = np.ndarray[Any, np.dtype[Any]]
ColorModel = Literal["L", "RGB", "BGR", "RGBA", "BGRA"]
PixelFormat = Literal["NV12", "YUY2", "Y_U_V24_LimitedRange"]


class Picture(NamedTuple):
    """The fields of a sensor_msgs.Image."""

    width: int
    height: int
    encoding: str
    is_bigendian: bool
    step: int
    """Bytes from row to row; 0 if rows follow each other without a gap."""
    content: Array
    """Bytes, shape (n,)."""


class Layout(NamedTuple):
    """How the pixels of an encoding are laid out."""

    color_model: ColorModel
    channels: int
    dtype: str
    """NumPy's, without the byte order: `u2`."""


class Yuv(NamedTuple):
    """A picture in one of Rerun's pixel formats."""

    pixel_format: PixelFormat
    content: bytes


_NAMED = re.compile(r"(mono|rgba?|bgra?)(8|16)")
_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C([1-4])")
_BAYER = re.compile(r"bayer_(rggb|bggr|gbrg|grbg)(8|16)")
_MODELS: dict[str, tuple[ColorModel, int]] = {
    "mono": ("L", 1),
    "rgb": ("RGB", 3),
    "bgr": ("BGR", 3),
    "rgba": ("RGBA", 4),
    "bgra": ("BGRA", 4),
}
_GENERIC_MODELS: dict[int, ColorModel] = {1: "L", 2: "L", 3: "BGR", 4: "BGRA"}
"""Of generic encodings, which name no colours: OpenCV's order."""


def read_image(data: bytes) -> tuple[str, Picture]:
    """The frame and the picture of an encoded sensor_msgs.Image, whose content is not copied.

    Raises:
        DecodeError: the bytes are of another type or version, or they end too early.
    """
    wire = Wire("sensor_msgs.Image", data)
    (size,) = wire.unpack("i")
    frame = wire.header()
    height, width = wire.unpack("ii")
    encoding = wire.string()
    is_bigendian, step = wire.unpack("Bi")
    content = wire.array("u1", size)
    return frame, Picture(width, height, encoding, bool(is_bigendian), step, content)


def layout_of(encoding: str) -> Layout:
    """How the pixels of an encoding are laid out; a Bayer pattern is one channel.

    Raises:
        DecodeError: the encoding is not one of ROS, or one of YUV.
    """
    if named := _NAMED.fullmatch(encoding):
        model, channels = _MODELS[named[1]]
        return Layout(model, channels, f"u{int(named[2]) // 8}")
    if generic := _GENERIC.fullmatch(encoding):
        channels = int(generic[2])
        kind = {"U": "u", "S": "i", "F": "f"}[generic[1][-1]]
        return Layout(_GENERIC_MODELS[channels], channels, f"{kind}{int(generic[1][:-1]) // 8}")
    if bayer := _BAYER.fullmatch(encoding):
        return Layout("L", 1, f"u{int(bayer[2]) // 8}")
    raise DecodeError(f"The image has the encoding {encoding!r}, which cannot be shown.")


def raw_pixels(picture: Picture) -> Array:
    """The numbers as they are, shape (height, width, channels), in the byte order of the machine.

    Raises:
        DecodeError: the encoding is not known, or the bytes do not hold the picture.
    """
    layout = layout_of(picture.encoding)
    dtype = np.dtype((">" if picture.is_bigendian else "<") + layout.dtype)
    rows = _rows(picture, picture.width * layout.channels * dtype.itemsize, picture.height)
    numbers = np.ascontiguousarray(rows).view(dtype)
    pixels = numbers.reshape(picture.height, picture.width, layout.channels)
    return pixels.astype(dtype.newbyteorder("="), copy=False)


def color_pixels(picture: Picture) -> tuple[ColorModel, Array]:
    """Rerun's color model and the pixels in it, shape (height, width, channels).

    Of two channels the first is taken; Bayer patterns become RGB of the same size; colours of 16
    bits become 8, since Rerun shows those of 16 too bright.

    Raises:
        DecodeError: the encoding is not known, or the bytes do not hold the picture.
    """
    model, channels, _dtype = layout_of(picture.encoding)
    pixels = raw_pixels(picture)
    if bayer := _BAYER.fullmatch(picture.encoding):
        model, pixels = "RGB", _debayered(pixels[:, :, 0], bayer[1])
    if model != "L" and pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return model, pixels[:, :, :1] if channels == 2 else pixels


def yuv_bytes(picture: Picture) -> Yuv | None:
    """The picture in a pixel format of Rerun, if its encoding is one of YUV.

    Raises:
        DecodeError: the bytes do not hold the picture.
    """
    arrange = _YUV.get(picture.encoding)
    return None if arrange is None else arrange(picture)


def _rows(picture: Picture, row_bytes: int, count: int) -> Array:
    """Rows of bytes without their padding, shape (count, row_bytes)."""
    step = picture.step or row_bytes
    if min(picture.width, picture.height) < 1 or step < row_bytes:
        raise DecodeError(
            f"The {picture.encoding} image says {picture.width} x {picture.height} pixels in rows "
            f"of {picture.step} bytes, which cannot be."
        )
    needed = (count - 1) * step + row_bytes
    if len(picture.content) < needed:
        raise DecodeError(
            f"The {picture.encoding} image of {picture.width} x {picture.height} pixels needs "
            f"{needed} bytes and has {len(picture.content)}."
        )
    strided: Array = np.ndarray((count, row_bytes), np.uint8, picture.content, 0, (step, 1))
    return strided


def _debayered(raw: Array, pattern: str) -> Array:
    """RGB of the same size: each cell of 2 x 2 has one colour, its greens averaged."""
    if min(raw.shape) < 2:
        raise DecodeError(
            f"The Bayer image of {raw.shape[1]} x {raw.shape[0]} pixels has no cell of 2 x 2 "
            "pixels, so its colours cannot be told."
        )
    height, width = (length - length % 2 for length in raw.shape)
    cell: dict[int, list[Array]] = {0: [], 1: [], 2: []}
    for position, color in enumerate(pattern):
        cell["rgb".index(color)].append(raw[position // 2 : height : 2, position % 2 : width : 2])
    (red,), (green, other_green), (blue,) = cell.values()
    mean = (green.astype(np.uint32) + other_green) // 2
    small = np.stack([red, mean.astype(raw.dtype), blue], axis=-1)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    return np.pad(large, ((0, raw.shape[0] - height), (0, raw.shape[1] - width), (0, 0)), "edge")


def _yuyv(picture: Picture) -> Yuv:
    return Yuv("YUY2", _rows(picture, 2 * picture.width, picture.height).tobytes())


def _uyvy(picture: Picture) -> Yuv:
    rows = np.ascontiguousarray(_rows(picture, 2 * picture.width, picture.height))
    return Yuv("YUY2", rows.view(np.uint16).byteswap().tobytes())


def _nv12(picture: Picture) -> Yuv:
    return Yuv("NV12", _rows(picture, picture.width, picture.height * 3 // 2).tobytes())


def _nv21(picture: Picture) -> Yuv:
    rows = np.array(_rows(picture, picture.width, picture.height * 3 // 2))
    chroma = rows[picture.height :].reshape(-1)
    pairs = chroma[: chroma.size - chroma.size % 2].reshape(-1, 2)
    pairs[:] = pairs[:, ::-1].copy()
    return Yuv("NV12", rows.tobytes())


def _nv24(picture: Picture) -> Yuv:
    luma_bytes = picture.width * picture.height
    planes = _rows(picture, picture.width, 3 * picture.height).reshape(-1)
    u, v = planes[luma_bytes:].reshape(-1, 2).T
    content = planes[:luma_bytes].tobytes() + u.tobytes() + v.tobytes()
    return Yuv("Y_U_V24_LimitedRange", content)


_YUV: dict[str, Callable[[Picture], Yuv]] = {
    "yuv422": _uyvy,
    "uyvy": _uyvy,
    "yuv422_yuy2": _yuyv,
    "yuyv": _yuyv,
    "nv12": _nv12,
    "nv21": _nv21,
    "nv24": _nv24,
}

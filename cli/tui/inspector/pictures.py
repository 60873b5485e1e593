"""Previews of pictures in messages: images, depth images, compressed images, maps.

A large picture is looked at in `_OVERSAMPLED` places per pixel of the preview, so that what a
preview costs hardly depends on its size.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dimos_record.cli.text import printable
from dimos_record.cli.tui.inspector.describe import numbers
from dimos_record.errors import DecodeError, MissingExtra

Colours = NDArray[np.uint8]
"""Red, green and blue, of shape (..., 3)."""

_OVERSAMPLED = 3
_COMPRESSED = frozenset({"jpeg", "jpg", "png", "webp"})
_BAYER = re.compile(r"bayer_(rggb|bggr|gbrg|grbg)(8|16)\Z")
_OPENCV = re.compile(r"(8|16|32|64)(U|S|F)C(\d)\Z")
_KINDS = {"U": "u", "S": "i", "F": "f"}
_RAMP = np.array(
    [(72, 40, 120), (62, 90, 170), (40, 150, 160), (110, 200, 90), (250, 225, 60)], np.float64
)
"""Low to high, from dark violet to yellow: brightness rises too."""
_UNKNOWN, _FREE, _OCCUPIED = (70, 84, 92), (235, 235, 235), (12, 12, 12)


class Picture(NamedTuple):
    """A preview, and what to say of the picture."""

    pixels: Colours
    """Of shape (height, width, 3)."""
    caption: str


class Pixels(NamedTuple):
    """The fields of a message that holds an image."""

    width: int
    height: int
    encoding: str
    step: int
    """Bytes from row to row; 0 if rows follow each other closely."""
    big_endian: bool
    data: bytes


class _Encoding(NamedTuple):
    """How pixels lie in a row, and how they become colours.

    Pixels that only make sense together, two of YUV 4:2:2 or four of a Bayer pattern, are one cell.
    """

    dtype: str
    """Of numpy, without the byte order."""
    per_pixel: int
    """Numbers."""
    to_colours: Callable[[NDArray[Any]], Colours]
    """From the numbers of cells, of shape (rows, columns, numbers)."""
    cell: tuple[int, int] = (1, 1)
    """Rows and columns of pixels."""
    scaled: bool = False
    """Numbers that have no range of their own: colours are made of them as 0 to 1."""
    zero_is_missing: bool = False


def image_picture(image: Pixels, width: int, height: int) -> Picture:
    """A preview of an image of at most ``width`` x ``height`` pixels.

    Raises:
        DecodeError: its size, step or encoding do not fit its data, or nobody knows the encoding.
        MissingExtra: its pixels are compressed, and pillow is not installed.
    """
    if image.encoding.lower() in _COMPRESSED:
        return compressed_picture(image.data, image.encoding, width, height)
    encoding = _encoding_of(image.encoding)
    cells = _cells(image, encoding)
    caption = f"{image.width} x {image.height} {printable(image.encoding)}"
    columns, rows = fitting(image.width, image.height, width, height)
    down, across = encoding.cell
    sampled = cells[_places(rows, image.height, down, cells.shape[0])]
    sampled = sampled[:, _places(columns, image.width, across, cells.shape[1])]
    sampled = sampled.reshape(*sampled.shape[:2], -1)
    if encoding.scaled:
        low, high = _finite_range(cells, encoding.zero_is_missing)
        caption += f", {low:.4g}..{high:.4g}" if low <= high else ", no finite values"
        sampled = _share(sampled, low, high, encoding.zero_is_missing)
    colours = encoding.to_colours(sampled)
    return Picture(_averaged(colours, rows, columns), caption)


def compressed_picture(data: bytes, encoding: str, width: int, height: int) -> Picture:
    """A preview of a JPEG, a PNG or whatever else pillow can read.

    Raises:
        DecodeError: it cannot read the bytes.
        MissingExtra: pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtra("Showing compressed pictures", "jpeg") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(BytesIO(data))
        full_size = picture.size
        columns, rows = fitting(*full_size, width, height)
        picture.draft("RGB", (2 * columns, 2 * rows))  # a JPEG is decoded faster at a smaller size
        pixels = np.asarray(picture.convert("RGB").resize((columns, rows)))
    except UnidentifiedImageError:
        raise DecodeError(
            f"The {len(data):,} bytes of the compressed picture are none that pillow can read."
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        raise DecodeError(
            f"The compressed picture of {len(data):,} bytes cannot be shown: {error}."
        ) from error
    return Picture(pixels, f"{full_size[0]} x {full_size[1]} {printable(encoding)}")


def grid_picture(grid: Any, width: int, height: int) -> Picture:
    """A preview of a nav_msgs.OccupancyGrid, x to the right and y upwards.

    Walls stay visible at any size.

    Raises:
        DecodeError: its size does not fit its data.
    """
    info = grid.info
    if min(info.width, info.height) <= 0 or info.width * info.height != len(grid.data):
        raise DecodeError(
            f"The map says that it has {info.width} x {info.height} cells, but its data has "
            f"{len(grid.data):,}."
        )
    cells = numbers(grid.data, "int8_t").reshape(info.height, info.width)[::-1]
    columns, rows = fitting(info.width, info.height, width, height)
    pooled = _pooled(np.maximum, _pooled(np.maximum, cells, rows, 0), columns, 1)
    share = (np.clip(pooled, 0, 100) / 100)[..., None]
    colours = ((1 - share) * _FREE + share * _OCCUPIED).astype(np.uint8)
    colours[pooled < 0] = _UNKNOWN
    extent = f"{info.width * info.resolution:.4g} x {info.height * info.resolution:.4g} m"
    corner = info.origin.position
    caption = f"{info.width} x {info.height} cells, {extent} from ({corner.x:.4g}, {corner.y:.4g})"
    return Picture(colours, caption)


def fitting(width: int, height: int, most_width: int, most_height: int) -> tuple[int, int]:
    """The largest width and height of the same proportions within limits."""
    scale = min(most_width / width, most_height / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def ramp(share: NDArray[Any]) -> Colours:
    """Colours for numbers from 0 to 1, dark to bright; black for NaN."""
    at = np.clip(np.nan_to_num(share), 0, 1) * (len(_RAMP) - 1)
    steps = np.arange(len(_RAMP))
    mixed = np.stack([np.interp(at, steps, channel) for channel in _RAMP.T], axis=-1)
    mixed[np.isnan(share)] = 0
    return mixed.astype(np.uint8)


# --- pixels


def _cells(image: Pixels, encoding: _Encoding) -> NDArray[Any]:
    """The data, not copied, as (rows of cells, columns of cells, rows of a cell, its numbers).

    Raises:
        DecodeError: the data is shorter than the size and step of the image need.
    """
    dtype = np.dtype((">" if image.big_endian else "<") + encoding.dtype)
    down, across = encoding.cell
    rows, columns = image.height // down, image.width // across
    row_bytes = image.width * encoding.per_pixel * dtype.itemsize
    step = image.step or row_bytes
    needed = step * (image.height - 1) + row_bytes
    if min(rows, columns) <= 0 or step < row_bytes or needed > len(image.data):
        raise DecodeError(
            f"The picture says that it is {image.width} x {image.height} "
            f"{printable(image.encoding)} with {image.step:,} bytes per row, but its data has "
            f"{len(image.data):,} bytes."
        )
    in_cell = across * encoding.per_pixel
    shape = (rows, columns, down, in_cell)
    strides = (down * step, in_cell * dtype.itemsize, step, dtype.itemsize)
    cells: NDArray[Any] = np.ndarray(shape, dtype, image.data, strides=strides)
    return cells


def _places(wanted: int, pixels: int, cell: int, cells: int) -> NDArray[np.intp]:
    """The cells to look at along one side, for that many pixels of the preview."""
    count = wanted * max(1, min(_OVERSAMPLED, pixels // wanted))
    centres = (np.arange(count) + 0.5) * pixels / count
    return np.minimum(centres.astype(np.intp) // cell, cells - 1)


def _averaged(colours: Colours, rows: int, columns: int) -> Colours:
    """Averages of equal blocks."""
    down, across = colours.shape[0] // rows, colours.shape[1] // columns
    blocks = colours.reshape(rows, down, columns, across, 3)
    return np.asarray(blocks.mean(axis=(1, 3)), np.uint8)


def _pooled(largest: np.ufunc, cells: NDArray[Any], count: int, axis: int) -> NDArray[Any]:
    """One number for each of ``count`` sections along an axis."""
    starts = np.arange(count) * cells.shape[axis] // count
    return np.asarray(largest.reduceat(cells, starts, axis=axis))


def _finite_range(cells: NDArray[Any], zero_is_missing: bool) -> tuple[float, float]:
    present = np.isfinite(cells)
    if zero_is_missing:
        present &= cells != 0
    values = cells[present]
    return (float(values.min()), float(values.max())) if values.size else (np.inf, -np.inf)


def _share(cells: NDArray[Any], low: float, high: float, zero_is_missing: bool) -> NDArray[Any]:
    """Numbers as 0 to 1 within a range; NaN for those that are missing."""
    values = cells.astype(np.float64)
    missing = ~np.isfinite(values)
    if zero_is_missing:
        missing |= values == 0
    values[missing] = np.nan
    return np.asarray((values - low) / (high - low) if high > low else values * 0 + 0.5)


# --- encodings


def _encoding_of(name: str) -> _Encoding:
    if known := _ENCODINGS.get(name.lower()):
        return known
    if found := _BAYER.match(name.lower()):
        return _bayer(found[1], int(found[2]))
    if found := _OPENCV.match(name):
        made = _opencv(f"{_KINDS[found[2]]}{int(found[1]) // 8}", int(found[3]))
        if made is not None:
            return made
    shown = printable(name[:40])
    raise DecodeError(f"The encoding '{shown}' is not one that can be shown as a picture.")


def _opencv(dtype: str, channels: int) -> _Encoding | None:
    """An encoding that names numbers only: one channel is a range, three are blue, green, red."""
    if dtype == "u1" and channels in (1, 3, 4):
        return _ENCODINGS[{1: "mono8", 3: "bgr8", 4: "bgra8"}[channels]]
    if channels != 1 or dtype in ("i1", "f1", "f2", "u8"):
        return None
    return _Encoding(dtype, 1, _ramp_of_first, scaled=True, zero_is_missing=True)


def _bayer(pattern: str, bits: int) -> _Encoding:
    red, blue = pattern.index("r"), pattern.index("b")
    greens = [i for i in range(4) if pattern[i] == "g"]

    def to_colours(quads: NDArray[Any]) -> Colours:
        quads = quads >> (bits - 8)
        green = quads[..., greens].mean(axis=-1)
        return np.stack([quads[..., red], green, quads[..., blue]], axis=-1).astype(np.uint8)

    return _Encoding(f"u{bits // 8}", 1, to_colours, cell=(2, 2))


def _from_yuv(luma: list[int], u: int, v: int) -> Callable[[NDArray[Any]], Colours]:
    """BT.601, full range: https://en.wikipedia.org/wiki/YCbCr#JPEG_conversion."""

    def to_colours(cells: NDArray[Any]) -> Colours:
        y = cells[..., luma].mean(axis=-1)
        blue, red = cells[..., u] - 128.0, cells[..., v] - 128.0
        rgb = [y + 1.402 * red, y - 0.344 * blue - 0.714 * red, y + 1.772 * blue]
        return np.asarray(np.clip(np.stack(rgb, axis=-1), 0, 255), np.uint8)

    return to_colours


def _first_three(cells: NDArray[Any]) -> Colours:
    return _eight_bits(cells[..., :3])


def _three_reversed(cells: NDArray[Any]) -> Colours:
    return _eight_bits(cells[..., 2::-1])


def _eight_bits(cells: NDArray[Any]) -> Colours:
    return np.asarray(cells >> (8 * (cells.dtype.itemsize - 1)), np.uint8)


def _grey(cells: NDArray[Any]) -> Colours:
    return _eight_bits(cells[..., [0, 0, 0]])


def _grey_of_share(share: NDArray[Any]) -> Colours:
    grey: Colours = (np.nan_to_num(share[..., [0, 0, 0]]) * 255).astype(np.uint8)
    return grey


def _ramp_of_first(share: NDArray[Any]) -> Colours:
    return ramp(share[..., 0])


_UYVY = _Encoding("u1", 2, _from_yuv([1, 3], 0, 2), cell=(1, 2))
_YUYV = _Encoding("u1", 2, _from_yuv([0, 2], 1, 3), cell=(1, 2))
_MONO8 = _Encoding("u1", 1, _grey)
_ENCODINGS = {
    "rgb8": _Encoding("u1", 3, _first_three),
    "rgba8": _Encoding("u1", 4, _first_three),
    "bgr8": _Encoding("u1", 3, _three_reversed),
    "bgra8": _Encoding("u1", 4, _three_reversed),
    "rgb16": _Encoding("u2", 3, _first_three),
    "rgba16": _Encoding("u2", 4, _first_three),
    "bgr16": _Encoding("u2", 3, _three_reversed),
    "bgra16": _Encoding("u2", 4, _three_reversed),
    "mono8": _MONO8,
    "mono16": _Encoding("u2", 1, _grey_of_share, scaled=True),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _MONO8,  # the brightness of all pixels comes before their colours
    "nv21": _MONO8,
    "nv24": _MONO8,
}

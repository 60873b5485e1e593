"""The `jpeg` codec: an Image message whose pixels are JPEG, exactly as dimos stores it."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from dimos_lcm.sensor_msgs import Image

from dimos_record.errors import CodecError, MissingExtra

QUALITY = 75
_MODES = {"rgb8": "RGB", "bgr8": "RGB", "rgba8": "RGB", "bgra8": "RGB", "mono8": "L", "8UC1": "L"}
_CHANNELS = {"rgb8": "RGB", "bgr8": "BGR", "rgba8": "RGBX", "bgra8": "BGRX"}


def fits(data: bytes) -> bool:
    """Whether an encoded Image has 8-bit colour or grey pixels; depth and 16-bit images do not.

    JPEG would turn metres into nonsense.
    """
    image = _image(data)
    return image is not None and image.encoding in _MODES


def encode(data: bytes) -> bytes:
    """Replace the pixels of an encoded Image by JPEG; what cannot be JPEG stays as it is.

    Raises:
        MissingExtra: pillow is not installed.
    """
    image = _image(data)
    mode = _MODES.get(image.encoding) if image else None
    if image is None or mode is None:
        return data
    raw = _CHANNELS.get(image.encoding, "L")
    row = image.width * len(raw)
    step = image.step or row
    if not (0 < row <= step and 0 < step * image.height <= len(image.data)):
        return data
    pillow = load_pillow()
    size = (image.width, image.height)
    buffer = BytesIO()
    try:
        pixels = pillow.frombuffer(mode, size, bytes(image.data), "raw", raw, step, 1)
        pixels.save(buffer, "JPEG", quality=QUALITY)
    except (OSError, ValueError):  # more pixels than JPEG can have
        return data
    image.encoding, image.step, image.is_bigendian = "jpeg", 0, 0
    image.data = buffer.getvalue()
    image.data_length = len(image.data)
    return bytes(image.lcm_encode())


def decode(data: bytes) -> bytes:
    """Turn a stored image back into an rgb8 (or mono8) Image message.

    Raises:
        MissingExtra: pillow is not installed.
        CodecError: the JPEG is broken.
    """
    image = _image(data)
    if image is None or image.encoding != "jpeg":
        return data
    pillow = load_pillow()
    try:
        pixels = pillow.open(BytesIO(image.data))
        grey = pixels.mode == "L"
        pixels = pixels if grey else pixels.convert("RGB")
        raw = pixels.tobytes()
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise CodecError(f"a stored JPEG image cannot be decoded: {error}") from None
    image.width, image.height = pixels.size  # whatever the message says
    image.encoding, image.step = ("mono8", image.width) if grey else ("rgb8", image.width * 3)
    image.data, image.data_length = raw, len(raw)
    return bytes(image.lcm_encode())


def _image(data: bytes) -> Image | None:
    try:
        return Image.lcm_decode(data)
    except (ValueError, IndexError, struct.error):
        return None


def load_pillow() -> Any:
    """Pillow's module for images.

    Raises:
        MissingExtra: pillow is not installed.
    """
    try:
        from PIL import Image as Pixels
    except ImportError:
        raise MissingExtra("the jpeg codec", "jpeg") from None
    return Pixels

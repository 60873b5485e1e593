"""Compressed pictures decoded by Pillow, which comes with Rerun."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from dimos_record.errors import DecodeError

Array = np.ndarray[Any, np.dtype[Any]]


def decoded(content: bytes, format_name: str, mode: str | None = None) -> Array:
    """The pixels of a compressed picture, shape (height, width) or (height, width, channels).

    Args:
        content: the bytes of a file.
        format_name: what the message calls it, for errors.
        mode: Pillow's name of the pixels wanted, `RGB`; as they are if None.

    Raises:
        DecodeError: Pillow does not know the format, or the picture is damaged.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            return np.asarray(picture if mode is None else picture.convert(mode))
    # SyntaxError is what Pillow raises for damaged PNG files; UnidentifiedImageError is an OSError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DecodeError(
            f"The compressed picture in format {format_name!r} cannot be decoded: {error}."
        ) from error

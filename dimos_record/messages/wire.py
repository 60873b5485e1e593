"""Fields of a message read in order from its wire bytes, arrays without copying them.

The wire format is LCM's: an 8-byte fingerprint of the type, then the fields in order of
declaration, big endian; https://lcm-proj.github.io/lcm/content/lcm-type-ref.html.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.messages.layout import FINGERPRINT_BYTES, whole

_HEADER = struct.Struct(">iii")
_LENGTH = struct.Struct(">I")


def clean_frame(name: str) -> str:
    """The name of a frame as tf2 has it: without the `/` that tf1 put in front."""
    return name.lstrip("/")


class Wire:
    """A cursor behind the fingerprint of a message that is known to be whole.

    Raises:
        DecodeError: the bytes are of another type or version, or they end too early.
    """

    def __init__(self, type_name: str, data: bytes) -> None:
        plan = whole(type_name)
        if plan is None:
            raise DecodeError(f"{type_name} cannot be shown: dimos_lcm has no such type.")
        plan.check(data)
        self._data = data
        self._pos = FINGERPRINT_BYTES

    def unpack(self, fields: str) -> tuple[Any, ...]:
        """Numbers in the notation of the `struct` module, without the byte order."""
        fmt = ">" + fields
        values = struct.unpack_from(fmt, self._data, self._pos)
        self._pos += struct.calcsize(fmt)
        return values

    def string(self) -> str:
        """A string, without its NUL."""
        start = self._pos + _LENGTH.size
        end = start + _LENGTH.unpack_from(self._data, self._pos)[0]
        self._pos = end
        return bytes(self._data[start:end]).removesuffix(b"\0").decode("utf-8", "replace")

    def header(self) -> str:
        """The frame of a `std_msgs.Header`, which is passed."""
        self._pos += _HEADER.size
        return clean_frame(self.string())

    def array(self, dtype: str, *shape: int) -> np.ndarray[Any, np.dtype[Any]]:
        """An array of this shape; a view of the bytes, in their byte order."""
        count = 1
        for length in shape:
            count *= length
        found = np.frombuffer(self._data, np.dtype(dtype), count, self._pos).reshape(shape)
        self._pos += found.nbytes
        return found

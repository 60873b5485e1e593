"""Header stamps, read and moved in the wire bytes.

A stamp is the time in a ``std_msgs.Header`` (i32 seq, i32 sec, i32 nsec, string frame_id). A stamp
of zero means that it was not set. Other times in a message are left alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

from dimos_record.errors import DecodeError
from dimos_record.messages.layout import FINGERPRINT_BYTES, Path, Plan, marking
from dimos_record.messages.registry import message_class

StampReader = Callable[[bytes], "int | None"]
StampShifter = Callable[[bytes, int], bytes]

_HEADER = "std_msgs.Header"
_STAMP_IN_HEADER = 4
_HEADER_BYTES = 12
"""Of a header, as far as the end of its stamp."""
_STAMP = struct.Struct(">ii")
_ARRAY_LENGTH = slice(FINGERPRINT_BYTES, FINGERPRINT_BYTES + 4)
_EMPTY = bytes(4)

_NS = 1_000_000_000
_MIN_NS = -(2**31) * _NS
_MAX_NS = 2**31 * _NS - 1


@lru_cache(maxsize=4096)
def stamp_reader(type_name: str | None) -> StampReader | None:
    """A function that reads the stamp of a message of a type from its bytes.

    The stamp is that of the message's own header, or of the message if it is one. A type that is
    nothing but an array of messages with headers (TFMessage, MarkerArray) has the stamp of the
    first. The reader returns ns since the epoch; None if the stamp is zero, the bytes are too
    short, or they are of another type.

    Returns:
        None if the type is not known or has no header.
    """
    plan = None if type_name is None else _own_header(type_name)
    if plan is None or type_name is None:
        return None
    if plan.offset is None:
        return _walking_reader(plan)
    read = _reader_at(plan.fingerprint, plan.offset + _STAMP_IN_HEADER)
    return _of_first_item(read) if _is_array_of_messages(type_name) else read


def stamp_ns(type_name: str | None, data: bytes) -> int | None:
    """The stamp of one message, as `stamp_reader` defines it; None if it has none."""
    read = stamp_reader(type_name)
    return None if read is None else read(data)


@lru_cache(maxsize=4096)
def stamp_shifter(type_name: str | None) -> StampShifter | None:
    """A function ``shift(data, delta_ns)`` that moves every header stamp of a message of a type.

    It returns a copy of the bytes with the stamps of all headers, nested ones and those in arrays
    too, moved by ``delta_ns``; all other bytes are the same. Zero stamps stay zero, results are
    normalised (0 <= nsec < 1e9) and kept within the 32-bit seconds of the format. A stamp that
    would become zero by the shift becomes 1 ns. The function raises DecodeError if the bytes are
    of another type or end before the last header.

    Returns:
        None if the type is not known or has no header anywhere.
    """
    plan = None if type_name is None else marking(type_name, lambda _path, name: name == _HEADER)
    if plan is None:
        return None

    def shift(data: bytes, delta_ns: int) -> bytes:
        return _patched(data, plan.locate(data, _HEADER_BYTES), delta_ns)

    return shift


def shift_stamps(type_name: str | None, data: bytes, delta_ns: int) -> bytes:
    """Move all header stamps of one message, as `stamp_shifter` defines it.

    Bytes of an unknown type and messages without a header are returned as they are.

    Raises:
        DecodeError: the bytes are of another type or version, or they end too early.
    """
    shift = stamp_shifter(type_name)
    return data if shift is None else shift(data, delta_ns)


def _own_header(type_name: str) -> Plan | None:
    def is_own(path: Path, name: str) -> bool:
        return name == _HEADER and len(path) <= 1

    def is_of_item(path: Path, name: str) -> bool:
        return name == _HEADER and len(path) == 3 and path[1] == "[]"

    own = marking(type_name, is_own, first_only=True)
    if own is None and _is_array_of_messages(type_name):
        return marking(type_name, is_of_item, first_only=True)
    return own


def _is_array_of_messages(type_name: str) -> bool:
    """Whether the type has two fields: the length of an array, and the array."""
    cls = message_class(type_name)
    return (
        cls is not None
        and len(cls.__slots__) == 2
        and list(cls.__dimensions__) == [None, [cls.__slots__[0]]]
    )


def _reader_at(fingerprint: int, offset: int) -> StampReader:
    unpack_from = struct.Struct(f">Q{offset - FINGERPRINT_BYTES}xii").unpack_from

    def read(data: bytes) -> int | None:
        try:
            found, sec, nsec = unpack_from(data)
        except struct.error:
            return None
        return (sec * 1_000_000_000 + nsec or None) if found == fingerprint else None

    return read


def _of_first_item(read: StampReader) -> StampReader:
    """The stamp of the first message in an array; bytes behind an empty one are none."""

    def read_first(data: bytes) -> int | None:
        return read(data) if data[_ARRAY_LENGTH] != _EMPTY else None

    return read_first


def _walking_reader(plan: Plan) -> StampReader:
    def read(data: bytes) -> int | None:
        try:
            offset = plan.locate(data, _HEADER_BYTES)[0]
        except DecodeError:
            return None
        sec, nsec = _STAMP.unpack_from(data, offset + _STAMP_IN_HEADER)
        return sec * _NS + nsec or None

    return read


def _patched(data: bytes, headers: list[int], delta_ns: int) -> bytes:
    """A copy of the data, made in one go, with the stamps of these headers moved."""
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    done = 0
    for header in headers:
        at = header + _STAMP_IN_HEADER
        sec, nsec = _STAMP.unpack_from(data, at)
        stamp = sec * _NS + nsec
        if stamp:
            moved = min(max(stamp + delta_ns, _MIN_NS), _MAX_NS) or 1
            parts += (view[done:at], _STAMP.pack(*divmod(moved, _NS)))
            done = at + _STAMP.size
    parts.append(view[done:])
    return b"".join(parts)

"""Whether the bytes of a ROS 1 message are as many as its lengths say.

`rosbags` believes the length of an array of messages, and counts to four billion where damaged
bytes, or somebody, say so.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from dimos_record.errors import DecodeError

_HEADER = "std_msgs/msg/Header"
_SEQ_BYTES = 4
"""Of a header, which `rosbags` knows in the form of ROS 2."""
_TIMES = ("builtin_interfaces/msg/Time", "builtin_interfaces/msg/Duration")
_TIME_BYTES = 8
"""Of either, which no definition describes."""
_MOST_ITEMS = 10_000
"""In an array of fixed length whose items are messages or strings: code is made for each.

Also of messages without any bytes in one message, of which a short definition can have billions.
"""
_length_at = struct.Struct("<I").unpack_from
_SIZES = {"bool": 1, "byte": 1, "char": 1, "octet": 1}


class Ros1Extent:
    """Walks through the messages of a type.

    Args:
        types: what `rosbags` has read of the definition.
        name: the type, `nav_msgs/msg/Odometry`.

    Raises:
        DecodeError: the definition lacks a type, or has an array of a length that nobody means.
    """

    def __init__(self, types: Mapping[str, tuple[Any, Any]], name: str) -> None:
        from rosbags.interfaces import Nodetype

        self._kinds = Nodetype
        self._types, self._name = types, name
        self._empty = 0
        """How many messages without any bytes there are in the one that is walked through."""
        for _, fields in types.values():
            for field, described in fields:
                self._check_field(field, described)

    def _check_field(self, field: str, described: Any) -> None:
        kind, what = described
        if kind in (self._kinds.ARRAY, self._kinds.SEQUENCE):
            item, count = what
            simple = item[0] == self._kinds.BASE and item[1][0] != "string"
            if kind == self._kinds.ARRAY and count > _MOST_ITEMS and not simple:
                raise DecodeError(f"its field {field!r} is an array of {count:,} items")
            self._check_field(field, item)
        elif kind == self._kinds.NAME and what not in (*self._types, *_TIMES):
            raise DecodeError(f"its definition lacks {what}, the type of {field!r}")

    def check(self, data: bytes) -> None:
        """Walk through one message.

        Raises:
            DecodeError: it ends too early, or is made of more empty messages than anybody means.
        """
        self._empty = 0
        try:
            self._message(self._name, data, 0)
        except (struct.error, RecursionError) as error:
            raise DecodeError("the bytes end before what the definition says") from error

    def _message(self, name: str, data: bytes, at: int) -> int:
        if name in _TIMES:
            return _within(data, at + _TIME_BYTES)
        end = at + (_SEQ_BYTES if name == _HEADER else 0)
        for _, described in self._types[name][1]:
            end = self._value(described, data, end)
        if end == at:
            self._empty += 1
            if self._empty > _MOST_ITEMS:
                raise DecodeError(f"it has more than {_MOST_ITEMS:,} empty messages in it")
        return end

    def _value(self, described: Any, data: bytes, at: int) -> int:
        """Where a value ends that begins here."""
        kind, what = described
        if kind == self._kinds.NAME:
            return self._message(what, data, at)
        if kind == self._kinds.BASE:
            size = _length_at(data, at)[0] + 4 if what[0] == "string" else _size(what[0])
            return _within(data, at + size)
        item, count = what
        if kind == self._kinds.SEQUENCE:
            count, at = _length_at(data, at)[0], at + 4
            if count > len(data):
                raise struct.error("more items than bytes")
        if item[0] == self._kinds.BASE and item[1][0] != "string":
            return _within(data, at + count * _size(item[1][0]))
        for _ in range(count):
            at = self._value(item, data, at)
        return at


def _size(base: str) -> int:
    return _SIZES.get(base) or int(base.lstrip("uintfloa")) // 8


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise struct.error("the end is behind the bytes")
    return end

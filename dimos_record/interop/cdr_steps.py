"""The steps that copy one message from LCM bytes to CDR and back; `cdr.py` says what that is.

They know the bytes of ROS 1, too:
little-endian like CDR, but nothing is aligned, strings have no NUL, and headers have a `seq`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, Protocol

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.messages.layout import FINGERPRINT_BYTES

ENCAPSULATION = b"\0\1\0\0"
"""Plain CDR, little-endian."""

LENGTH = struct.Struct("<I")
"""Of an array or a string in CDR."""
_LCM_LENGTH = struct.Struct(">i")


class Away:
    """The way of one message from LCM to CDR."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = FINGERPRINT_BYTES
        self.out = bytearray(ENCAPSULATION)
        self.lengths: dict[str, int] = {}
        self.seqs: list[int] = []

    def align(self, size: int) -> None:
        """Pad to a multiple of so many bytes."""
        self.out += bytes(-(len(self.out) - len(ENCAPSULATION)) % size)


class Back:
    """The way of one message from CDR to LCM."""

    def __init__(self, data: bytes, start: bytes, seqs: Iterator[int]) -> None:
        self.data = data
        self.at = len(ENCAPSULATION)
        self.out = bytearray(start)
        self.holes: dict[str, int] = {}
        """Where the lengths of arrays belong that are still to come."""
        self.seqs = seqs

    def align(self, size: int) -> None:
        """Pass the padding to a multiple of so many bytes."""
        self.at += -(self.at - len(ENCAPSULATION)) % size

    def take(self, size: int) -> memoryview:
        """The next bytes.

        Raises:
            struct.error: they are not there.
        """
        taken = memoryview(self.data)[self.at : self.at + size]
        if len(taken) != size:
            raise struct.error("it ends too early")
        self.at += size
        return taken


class FromRos1(Back):
    """The way of one message from ROS 1 to LCM."""

    def __init__(self, data: bytes, start: bytes) -> None:
        super().__init__(data, start, repeat(0))
        self.at = 0

    def align(self, size: int) -> None:
        """Nothing is aligned."""


class Step(Protocol):
    """One step, in all directions; struct.error or DecodeError is what goes wrong."""

    def away(self, way: Away) -> None:
        """Copy on from LCM to CDR."""

    def back(self, way: Back) -> None:
        """Copy on from CDR to LCM."""

    def from_ros1(self, way: FromRos1) -> None:
        """Copy on from ROS 1 to LCM."""


class Number(NamedTuple):
    """A number, or something that only LCM has: the length of an array, the seq of a header."""

    lcm: str
    """Its format as `struct` has it."""
    ros: str = ""
    """Likewise in ROS 2; nothing if that does not have it."""
    length: str = ""
    """Of which array it is the length."""


class Run:
    """Numbers that stand beside each other, copied at once."""

    def __init__(self, numbers: Sequence[Number]) -> None:
        self._lcm = struct.Struct(">" + "".join(number.lcm for number in numbers))
        self._count = len(numbers)
        self._carried = [i for i, number in enumerate(numbers) if number.ros]
        self._lengths = [(i, number.length) for i, number in enumerate(numbers) if number.length]
        self._seqs = [i for i, number in enumerate(numbers) if not (number.ros or number.length)]
        self._offsets = {
            name: struct.calcsize(">" + "".join(number.lcm for number in numbers[:i]))
            for i, name in self._lengths
        }
        self._all_carried = len(self._carried) == len(numbers)
        formats = [numbers[i].ros for i in self._carried]
        self._cdr = [_padded(formats, phase) for phase in range(8)]
        self._in_ros1 = [i for i, number in enumerate(numbers) if not number.length]
        self._ros1 = struct.Struct(
            "<" + "".join(numbers[i].ros or numbers[i].lcm for i in self._in_ros1)
        )

    def away(self, way: Away) -> None:
        values = self._lcm.unpack_from(way.data, way.at)
        way.at += self._lcm.size
        if not self._all_carried:
            for index, name in self._lengths:
                way.lengths[name] = values[index]
            way.seqs += [values[index] for index in self._seqs]
            values = tuple([values[index] for index in self._carried])
        way.out += self._cdr[(len(way.out) - len(ENCAPSULATION)) & 7].pack(*values)

    def back(self, way: Back) -> None:
        values = self._taken(way, self._cdr[(way.at - len(ENCAPSULATION)) & 7])
        if not self._all_carried:
            known = dict(zip(self._carried, values, strict=True))
            known.update((index, next(way.seqs)) for index in self._seqs)
            values = self._with_lengths(way, known)
        way.out += self._lcm.pack(*values)

    def from_ros1(self, way: FromRos1) -> None:
        known = dict(zip(self._in_ros1, self._taken(way, self._ros1), strict=True))
        way.out += self._lcm.pack(*self._with_lengths(way, known))

    def _taken(self, way: Back, layout: struct.Struct) -> Sequence[Any]:
        values = layout.unpack_from(way.data, way.at)
        way.at += layout.size
        return values

    def _with_lengths(self, way: Back, known: dict[int, Any]) -> list[Any]:
        """All values; the lengths follow when their arrays come."""
        for name, offset in self._offsets.items():
            way.holes[name] = len(way.out) + offset
        return [known.get(i, 0) for i in range(self._count)]


def _padded(formats: Sequence[str], phase: int) -> struct.Struct:
    """Numbers as CDR has them behind so many bytes beyond a multiple of eight."""
    at, text = phase, "<"
    for one in formats:
        size = struct.calcsize(f"<{one}")
        pad = -at % size
        text += "x" * pad + one
        at += pad + size
    return struct.Struct(text)


class String:
    """A string; both formats have its length, its bytes, and a NUL that counts."""

    def away(self, way: Away) -> None:
        (length,) = _LCM_LENGTH.unpack_from(way.data, way.at)
        start = way.at + 4
        way.at = start + length
        text = way.data[start : way.at]
        if length < 1 or len(text) != length or text[-1]:
            raise DecodeError("a string in it does not end as strings do")
        way.align(4)
        way.out += LENGTH.pack(length)
        way.out += text

    def back(self, way: Back) -> None:
        way.align(4)
        (length,) = LENGTH.unpack(way.take(4))
        text = way.take(length)
        if length and text[-1]:
            raise DecodeError("a string in it does not end as strings do")
        way.out += _LCM_LENGTH.pack(length or 1)
        way.out += text or b"\0"

    def from_ros1(self, way: FromRos1) -> None:
        (length,) = LENGTH.unpack(way.take(4))
        text = way.take(length)
        way.out += _LCM_LENGTH.pack(length + 1)
        way.out += text
        way.out += b"\0"


class NumberArray:
    """An array of numbers of one kind, or of messages that are made of nothing else.

    Args:
        number: what it is made of.
        per_item: how many of them an item has.
        count: of items; or the name of the length.
    """

    def __init__(self, number: Number, per_item: int, count: int | str) -> None:
        self._size = struct.calcsize(">" + number.lcm)
        self._per_item, self._count = per_item, count
        self._loses_sign = number.ros != number.lcm

    def away(self, way: Away) -> None:
        items = _items_away(way, self._count)
        if items:
            way.align(self._size)
            way.out += self._copy(way.data, way.at, items * self._per_item, ">i")
            way.at += items * self._per_item * self._size

    def back(self, way: Back) -> None:
        items = _items_back(way, self._count)
        if items:
            way.align(self._size)
            taken = way.take(items * self._per_item * self._size)
            way.out += self._copy(taken, 0, items * self._per_item, "<i")

    def from_ros1(self, way: FromRos1) -> None:
        self.back(way)

    def _copy(self, data: bytes | memoryview, at: int, count: int, order: str) -> Any:
        if self._size == 1:
            octets = memoryview(data)[at : at + count]
            if len(octets) != count:
                raise struct.error("it ends too early")
            return octets
        if at + count * self._size > len(data):
            raise struct.error("it ends too early")
        numbers = np.frombuffer(data, f"{order}{self._size}", count, at)
        if self._loses_sign and (numbers < 0).any():
            raise struct.error("a number is out of range")
        return numbers.byteswap().data.cast("B")


class Repeat:
    """An array of anything else, item by item."""

    def __init__(self, steps: Sequence[Step], count: int | str) -> None:
        self._steps, self._count = steps, count

    def away(self, way: Away) -> None:
        for _ in range(_items_away(way, self._count)):
            for step in self._steps:
                step.away(way)

    def back(self, way: Back) -> None:
        for _ in range(_items_back(way, self._count)):
            for step in self._steps:
                step.back(way)

    def from_ros1(self, way: FromRos1) -> None:
        for _ in range(_items_back(way, self._count)):
            for step in self._steps:
                step.from_ros1(way)


def _items_away(way: Away, count: int | str) -> int:
    if isinstance(count, int):
        return count
    items = way.lengths[count]
    if items < 0:
        raise struct.error("a length is negative")
    way.align(4)
    way.out += LENGTH.pack(items)
    return items


def _items_back(way: Back, count: int | str) -> int:
    if isinstance(count, int):
        return count
    way.align(4)
    items: int = LENGTH.unpack(way.take(4))[0]
    _LCM_LENGTH.pack_into(way.out, way.holes[count], items)
    return items


class Empty:
    """What only ROS 2 has: written empty, and expected to be empty."""

    def __init__(self, steps: Sequence[tuple[int, bytes]]) -> None:
        self._steps = steps
        """Alignment and bytes of each value."""

    def away(self, way: Away) -> None:
        for alignment, value in self._steps:
            way.align(alignment)
            way.out += value

    def back(self, way: Back) -> None:
        for alignment, value in self._steps:
            way.align(alignment)
            if way.take(len(value)) != value:
                raise DecodeError("a field is set that the LCM type lacks")

    def from_ros1(self, way: FromRos1) -> None:
        """ROS 1 does not have it."""

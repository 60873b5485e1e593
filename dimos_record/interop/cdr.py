"""LCM bytes to the CDR bytes of the ROS 2 message of the same name, and back, without decoding.

A type is compiled once into steps that copy from one format to the other; arrays of numbers go in
one piece, whatever their length. CDR is little-endian here, its values are aligned to their size
(counted from behind the four bytes of the encapsulation), and the length of an array stands right
before it; https://www.omg.org/cgi-bin/doc?formal/02-06-51. LCM is big-endian, nothing is aligned,
and lengths are fields; https://lcm-proj.github.io/lcm/content/lcm-type-ref.html.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from dimos_record.errors import DecodeError
from dimos_record.interop.cdr_steps import (
    ENCAPSULATION,
    LENGTH,
    Away,
    Back,
    Empty,
    FromRos1,
    Number,
    NumberArray,
    Repeat,
    Run,
    Step,
    String,
)
from dimos_record.interop.ros2_definitions import (
    RosField,
    fields_of_part,
    nested_type,
    ros_fields,
    schema_name,
)
from dimos_record.messages import fingerprint, message_class
from dimos_record.messages.layout import FINGERPRINT_BYTES, whole

_LCM_FORMATS = {
    "byte": "B",
    "boolean": "B",  # the bits as they are, of an octet of any sign
    "int8_t": "B",
    "int16_t": "h",
    "int32_t": "i",
    "int64_t": "q",
    "float": "I",  # its bits: Python's float does not keep those of every NaN
    "double": "d",
}
_LONGEST_IN_RUN = 64
"""Numbers of a fixed array that are copied with those beside it."""


class Cdr(NamedTuple):
    """One message as CDR."""

    data: bytes
    seqs: tuple[int, ...]
    """The `seq` of each header in it, in order, which ROS 2 lacks."""


class CdrCodec:
    """Copies the messages of one type from LCM to CDR and back; see `cdr_codec`."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name
        self._start = (fingerprint(type_name) or 0).to_bytes(FINGERPRINT_BYTES, "big")
        self._steps = _steps_of(type_name)

    def to_cdr(self, data: bytes) -> Cdr:
        """A message as CDR.

        Raises:
            DecodeError: the bytes are not a message of the type, there is something behind it, or
                CDR cannot hold a value.
        """
        way = Away(data)
        try:
            if data[:FINGERPRINT_BYTES] != self._start:
                raise struct.error("it is another type")
            for step in self._steps:
                step.away(way)
        except (struct.error, OverflowError) as error:
            self._check_whole(data)
            raise DecodeError("a number is below 0 that has no sign in ROS 2") from error
        if way.at != len(data):
            raise DecodeError("there are bytes behind the end of the message")
        return Cdr(bytes(way.out), tuple(way.seqs))

    def _check_whole(self, data: bytes) -> None:
        """Raise, with the same sentence for all of a type, if the bytes are no message of it."""
        plan = whole(self.type_name)
        try:
            if plan is not None:
                plan.check(data)
        except DecodeError as damage:  # which names the length
            raise DecodeError(f"the bytes are no {self.type_name}") from damage

    def to_lcm(self, data: bytes, seqs: Callable[[], Iterator[int]]) -> bytes:
        """A message as LCM.

        Args:
            data: the CDR bytes; padding behind the message is ignored.
            seqs: makes the numbers for the headers, in order.

        Raises:
            DecodeError: the bytes are no little-endian CDR of the type, or a value has no equal in
                the LCM type.
        """
        if data[:2] != ENCAPSULATION[:2]:
            raise DecodeError("it is not plain little-endian CDR")
        way = Back(data, self._start, seqs())
        try:
            for step in self._steps:
                step.back(way)
        except (struct.error, OverflowError) as error:
            raise DecodeError(f"the bytes are no {self.type_name}: {error}") from error
        return bytes(way.out)

    def from_ros1(self, data: bytes) -> bytes:
        """A message as ROS 1 serializes it, as LCM; the definition must be the one known here.

        Raises:
            DecodeError: the bytes are no message of the type, or a value has no equal in the LCM
                type.
        """
        way = FromRos1(data, self._start)
        try:
            for step in self._steps:
                step.from_ros1(way)
        except (struct.error, OverflowError) as error:
            raise DecodeError(f"the bytes are no {self.type_name}: {error}") from error
        if way.at != len(data):
            raise DecodeError(f"{len(data) - way.at} bytes are left behind the message")
        return bytes(way.out)


@lru_cache(maxsize=1024)
def cdr_codec(type_name: str) -> CdrCodec | None:
    """What copies messages of a type; None if ROS 2 has no such type."""
    return None if schema_name(type_name) is None else CdrCodec(type_name)


def _steps_of(type_name: str) -> list[Step]:
    return _grouped(_parts_of(type_name, ""))


def _grouped(parts: Sequence[Number | Step]) -> list[Step]:
    """The same with the numbers beside each other in one step."""
    steps: list[Step] = []
    run: list[Number] = []
    for part in parts:
        if isinstance(part, Number):
            run.append(part)
            continue
        if run:
            steps.append(Run(run))
            run = []
        steps.append(part)
    return [*steps, Run(run)] if run else steps


def _parts_of(type_name: str, path: str) -> list[Number | Step]:
    """The way through a message in the order of both formats, nested messages laid flat."""
    cls: Any = message_class(type_name)
    lengths = {name for dims in cls.__dimensions__ for name in dims or ()}
    ros = {field.lcm_name: field for field in ros_fields(type_name)}
    added = _added(type_name)
    parts: list[Number | Step] = []
    for name, kind, dims in zip(cls.__slots__, cls.__typenames__, cls.__dimensions__, strict=True):
        here = f"{path}{name}"
        if name in lengths:
            parts.append(Number(_LCM_FORMATS[kind], length=here))
        elif name not in ros:
            parts.append(Number(_LCM_FORMATS[kind]))
        else:
            item = _value(type_name, kind, ros[name].type, f"{here}.")
            count = dims[0] if dims else 1
            parts += _array(item, f"{path}{count}" if isinstance(count, str) else count)
        parts += added.get(name, [])
    return parts or [Empty([(1, b"\0")])]  # a message without fields is one octet in ROS 2


def _value(owner: str, kind: str, ros_type: str, path: str) -> list[Number | Step]:
    if kind == "string":
        return [String()]
    if kind in _LCM_FORMATS:
        lcm = _LCM_FORMATS[kind]
        return [Number(lcm, lcm.upper() if ros_type.startswith("uint") else lcm)]
    return _parts_of(nested_type(owner, kind), path)


def _array(item: list[Number | Step], count: int | str) -> list[Number | Step]:
    """An array of items; a number is how many there are always."""
    same = len(set(item)) == 1 and isinstance(item[0], Number) and item[0].ros != ""
    if isinstance(count, int) and len(item) * count <= _LONGEST_IN_RUN:
        return item * count
    if same and isinstance(item[0], Number):
        return [NumberArray(item[0], len(item), count)]
    return [Repeat(_grouped(item), count)]


def _added(type_name: str) -> dict[str | None, list[Empty]]:
    """The fields that only ROS 2 has, by the LCM field before them."""
    found: dict[str | None, list[Empty]] = {}
    before: str | None = None
    for field in ros_fields(type_name):
        if field.lcm_name is not None:
            before = field.lcm_name
        else:
            found.setdefault(before, []).append(Empty(list(_empty(field))))
    return found


def _empty(field: RosField) -> Iterator[tuple[int, bytes]]:
    if field.array:
        yield 4, LENGTH.pack(0)
    elif field.type == "string":
        yield 4, LENGTH.pack(1) + b"\0"
    elif "/" in field.type:
        for inner in fields_of_part(field.type):
            yield from _empty(inner)
    else:
        size = int(field.type.lstrip("uintfloa")) // 8
        yield size, bytes(size)

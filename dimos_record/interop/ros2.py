"""ROS 2 messages (CDR bytes) into the LCM messages of the same name.

Where the definition that travels with the messages is the one that we know, their bytes are copied
(`cdr.py`). Else `mcap_ros2` decodes them, and the values are copied, field by field, into the class
that `dimos_lcm` has under the same name. What differs between the two:

- LCM arrays of variable length have a length field of their own (`transforms_length`).
- LCM's header has a `seq`, which ROS 2 dropped; it becomes 0.
- LCM's time has `nsec`, ROS 2 says `nanosec`; LCM's CameraInfo has `D K R P`, ROS 2 `d k r p`.
- LCM has no unsigned integers except the byte. A value that does not fit is an error, not a
  different number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import repeat
from types import SimpleNamespace
from typing import Any, NamedTuple

from dimos_record.errors import DecodeError, MissingExtra, reason
from dimos_record.interop.cdr import CdrCodec, cdr_codec
from dimos_record.interop.ros2_definitions import same_layout
from dimos_record.messages import message_class, type_name_of

_OTHER_NAMES = {"nanosec": "nsec"}
_ONLY_IN_LCM = {("std_msgs.Header", "seq")}
_TIMES = ("builtin_interfaces/Time", "builtin_interfaces/Duration")


class Converted(NamedTuple):
    """One message as LCM bytes, and which of its fields could not go along."""

    data: bytes
    notes: tuple[str, ...]


class Ros2Converter:
    """Turns the CDR messages of one ROS 2 schema into LCM bytes.

    Args:
        schema_name: `nav_msgs/msg/Odometry`.
        definition: the message definition with those of its parts, as ROS 2 writes it (`ros2msg`:
            parts are separated by a line of ``=`` and start with ``MSG: package/Name``).
        type_name: the LCM type, if it is not the one of the same name.

    Raises:
        MissingExtra: the definition is another than the known one, and `mcap-ros2-support`, which
            decodes those, is not installed.
        DecodeError: `dimos_lcm` has no type of this name, or the definition cannot be read.
    """

    def __init__(self, schema_name: str, definition: bytes, type_name: str | None = None) -> None:
        self.type_name = type_name or lcm_type_name(schema_name)
        lcm_class = message_class(self.type_name)
        if lcm_class is None:
            raise DecodeError(f"there is no LCM type {self.type_name}")
        self._lcm_class = lcm_class
        self._schema = (schema_name, definition)
        self._decode: Callable[[bytes], Any] | None = None
        self._codec: CdrCodec | None = None
        if same_layout(self.type_name, definition.decode("utf-8", "replace")):
            self._codec = cdr_codec(self.type_name)
        else:
            self._decode = _cdr_decoder(schema_name, definition)
        self._plans: dict[tuple[str, type], _Plan] = {}
        self._notes: set[str] = set()

    def convert(
        self, data: bytes, seqs: Callable[[], Iterator[int]] = lambda: repeat(0)
    ) -> Converted:
        """Convert one message: copied, if the definition is the known one, else decoded.

        Args:
            data: the CDR bytes.
            seqs: makes the numbers for LCM's headers, in order.

        Raises:
            DecodeError: the bytes are not a message of this schema, or a value has no equal in the
                LCM type.
        """
        if self._codec is not None:
            try:
                return Converted(self._codec.to_lcm(data, seqs), ())
            except DecodeError:
                pass  # big-endian, or something is wrong, of which the other way says more
        return self._decoded(data)

    def _decoded(self, data: bytes) -> Converted:
        if data[:2] not in (b"\0\0", b"\0\1"):
            raise DecodeError(f"encapsulation {data[:2].hex() or 'missing'} is not plain CDR")
        if self._decode is None:
            self._decode = _cdr_decoder(*self._schema)
        try:
            message = self._decode(_NeverShort(data))
        except (struct.error, ValueError, RuntimeError) as error:
            raise DecodeError(
                f"the bytes do not decode as the schema says: {reason(error)}"
            ) from error
        self._notes.clear()
        copy = self._copy(message, self._lcm_class)
        try:
            encoded: bytes = copy.lcm_encode()
        except (struct.error, TypeError, ValueError, AttributeError) as error:
            raise DecodeError(f"a value does not fit into the LCM type: {reason(error)}") from error
        return Converted(encoded, tuple(sorted(self._notes)))

    def _copy(self, message: Any, lcm_class: type) -> Any:
        key = (message._type, lcm_class)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _make_plan(message, lcm_class)
        self._notes.update(plan.notes)
        copy = lcm_class()
        for field in plan.fields:
            value = getattr(message, field.ros_name)
            if field.is_array:
                value = self._array(value, field)
                if field.length_name:
                    setattr(copy, field.length_name, len(value))
            else:
                value = self._item(value, field)
            setattr(copy, field.lcm_name, value)
        return copy

    def _array(self, value: Any, field: _Field) -> Any:
        if not isinstance(value, (list, bytes)):
            raise DecodeError(f"field {field.ros_name!r} is one value, in the LCM type an array")
        if field.fixed_size is not None and len(value) != field.fixed_size:
            raise DecodeError(
                f"field {field.ros_name!r} has not {field.fixed_size} values as in LCM"
            )
        if field.lcm_class:
            return [self._item(item, field) for item in value]
        if field.lcm_kind == "int8_t" and isinstance(value, bytes):
            return memoryview(value).cast("b").tolist()
        return value

    def _item(self, value: Any, field: _Field) -> Any:
        if isinstance(value, (list, bytes)):
            raise DecodeError(f"field {field.ros_name!r} is an array, in the LCM type one value")
        if isinstance(value, SimpleNamespace) != (field.lcm_class is not None):
            raise DecodeError(f"field {field.ros_name!r} has another type in the LCM message")
        if field.lcm_class:
            return self._copy(value, field.lcm_class)
        return field.adapt(value) if field.adapt else value


class _Field(NamedTuple):
    ros_name: str
    lcm_name: str
    lcm_kind: str
    """LCM's name of the type: `double`, `byte`, `geometry_msgs.Pose`."""
    lcm_class: type | None
    """Of a message within the message."""
    is_array: bool
    length_name: str | None
    """The field that holds the length of an array of variable length."""
    fixed_size: int | None
    adapt: Callable[[int], int] | None
    """Brings an integer that Python reads differently into the range of the LCM type."""


class _Plan(NamedTuple):
    """How a ROS 2 message is copied into an LCM class."""

    fields: list[_Field]
    notes: list[str]


class _NeverShort(bytes):
    """Bytes that raise where a slice would come back short.

    `mcap_ros2` reads strings and byte arrays by slicing, which would turn a truncated image into a
    smaller one without a word.
    """

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if isinstance(index, slice) and len(found) != index.stop - index.start:
            raise ValueError("it ends too early")
        return found


def lcm_type_name(schema_name: str) -> str:
    """The LCM name of a ROS type.

    >>> lcm_type_name("nav_msgs/msg/Odometry")
    'nav_msgs.Odometry'
    """
    package, _, rest = schema_name.partition("/")
    return f"{package}.{rest.rpartition('/')[2]}" if rest else schema_name


def _cdr_decoder(schema_name: str, definition: bytes) -> Callable[[bytes], Any]:
    try:
        from mcap.records import Schema
        from mcap_ros2.decoder import DecoderFactory
    except ImportError:
        raise MissingExtra("importing ROS 2 messages", "mcap") from None
    schema = Schema(id=1, name=schema_name, encoding="ros2msg", data=definition)
    try:
        decoder: Callable[[bytes], Any] | None = DecoderFactory().decoder_for("cdr", schema)
    except Exception as error:  # what the parser raises has no public base class
        raise DecodeError(f"its message definition cannot be read: {reason(error)}") from error
    if decoder is None:
        raise DecodeError("its message definition cannot be read")
    return decoder


def _make_plan(message: Any, lcm_class: Any) -> _Plan:
    """Pair the fields of a decoded message with those of an LCM class, by name."""
    slots: list[str] = lcm_class.__slots__
    lengths = {name for dims in lcm_class.__dimensions__ for name in dims or ()}
    fields, notes = [], []
    for ros_name in message.__slots__:
        index = _find(ros_name, slots)
        if index is None:
            notes.append(
                f"field {ros_name!r} of {message._type} has no place in the LCM type; dropped"
            )
        else:
            fields.append(_pair(ros_name, index, message._type, lcm_class))
    filled = {field.lcm_name for field in fields} | lengths
    type_name = type_name_of(lcm_class)
    notes += [
        f"field {name!r} of the LCM type {type_name} is not in the message; left at its default"
        for name in slots
        if name not in filled and (type_name, name) not in _ONLY_IN_LCM
    ]
    if slots and not fields:
        raise DecodeError(f"its definition has no field in common with the LCM type {type_name}")
    return _Plan(fields, notes)


def _find(ros_name: str, slots: list[str]) -> int | None:
    for candidate in (ros_name, _OTHER_NAMES.get(ros_name)):
        if candidate in slots:
            return slots.index(candidate)
    lower = [slot.lower() for slot in slots]
    return lower.index(ros_name) if ros_name in lower else None


def _pair(ros_name: str, index: int, ros_type: str, lcm_class: Any) -> _Field:
    name, kind = lcm_class.__slots__[index], lcm_class.__typenames__[index]
    dimensions = lcm_class.__dimensions__[index]
    size = dimensions[0] if dimensions else None
    field_type = lcm_class._get_field_type(name)
    adapt = {"byte": _unsigned_octet, "int8_t": _signed_octet}.get(kind)
    if ros_type in _TIMES and ros_name == "sec":
        adapt = _signed_seconds
    return _Field(
        ros_name=ros_name,
        lcm_name=name,
        lcm_kind=kind,
        lcm_class=field_type if isinstance(field_type, type) else None,
        is_array=dimensions is not None,
        length_name=size if isinstance(size, str) else None,
        fixed_size=size if isinstance(size, int) else None,
        adapt=adapt,
    )


def _unsigned_octet(value: int) -> int:
    """ROS 2's `char` is unsigned; `mcap_ros2` reads it as signed."""
    return value + 256 if -128 <= value < 0 else value


def _signed_octet(value: int) -> int:
    """ROS 2's `byte` is an octet of no sign; LCM's types for it are signed."""
    return value - 256 if 128 <= value < 256 else value


def _signed_seconds(value: int) -> int:
    """A definition that leaves the time type out makes `mcap_ros2` read it as unsigned."""
    return value - 2**32 if value >= 2**31 else value

"""Messages of every type with random contents, and the same messages for the library `rosbags`."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from dimos_record.messages import message_class

_STRINGS = ("", "a", "äb", "base_link", "twelve bytes")
_INTEGERS = {"byte": 2**7, "int8_t": 2**7, "int16_t": 2**15, "int32_t": 2**31, "int64_t": 2**63}


class RandomMessages:
    """Makes messages of any type; numbers are those that ROS 2 has, too: none is below 0.

    Args:
        seed: the same seed makes the same messages.
        seq: what the headers of a message have, in turn.
    """

    def __init__(self, seed: int, seq: int = 0) -> None:
        self._random = random.Random(seed)
        self._seq = seq

    def of(self, type_name: str) -> Any:
        """A message of dimos_lcm."""
        cls = message_class(type_name)
        assert cls is not None, type_name
        return self._filled(cls)

    def _filled(self, cls: Any) -> Any:
        message = cls()
        lengths = {name: self._random.randrange(4) for name in _lengths(cls)}
        for name, kind, dims in zip(
            cls.__slots__, cls.__typenames__, cls.__dimensions__, strict=True
        ):
            if name in lengths:
                value: Any = lengths[name]
            elif dims:
                count = lengths.get(dims[0], dims[0])
                value = [self._value(cls, name, kind) for _ in range(count)]
                value = bytes(value) if kind == "byte" else value
            elif name == "seq":
                value = self._seq
            else:
                value = self._value(cls, name, kind)
            setattr(message, name, value)
        return message

    def _value(self, cls: Any, name: str, kind: str) -> Any:
        if kind == "string":
            return self._random.choice(_STRINGS)
        if kind == "boolean":
            return self._random.choice((False, True))
        if kind in _INTEGERS:
            return self._random.randrange(_INTEGERS[kind])
        if kind == "float":
            return float(np.float32(self._random.gauss(0, 100)))
        if kind == "double":
            return self._random.gauss(0, 100)
        return self._filled(cls._get_field_type(name))


def _lengths(cls: Any) -> set[str]:
    return {name for dims in cls.__dimensions__ for name in dims or () if isinstance(name, str)}


def for_rosbags(store: Any, name: str, message: Any) -> Any:
    """A dimos_lcm message as the class of a `rosbags` typestore; what LCM lacks is left empty.

    Args:
        name: `nav_msgs/msg/Odometry`
    """
    made = store.types[name]
    values = {}
    for field, (node, description) in store.get_msgdef(name).fields:
        lcm_name = next(
            (
                slot
                for slot in getattr(message, "__slots__", ())
                if slot.lower() == field.lower() or (slot, field) == ("nsec", "nanosec")
            ),
            None,
        )
        value = None if lcm_name is None else getattr(message, lcm_name)
        values[field] = _value_for_rosbags(store, node.name, description, value)
    return made(**values)


def _value_for_rosbags(store: Any, node: str, description: Any, value: Any) -> Any:
    if node == "NAME":
        return for_rosbags(store, description, value)
    if node == "BASE":
        kind = description[0]
        return (value or "") if kind == "string" else (value or 0)
    (inner_node, inner), _ = description
    items = value or ()
    if inner_node.name == "NAME":
        return [for_rosbags(store, inner, item) for item in items]
    if inner[0] == "string":
        return list(items)
    numbers = list(items)
    if inner[0] in ("int8", "byte", "uint8", "char"):
        dtype = np.int8 if inner[0] == "int8" else np.uint8
        return np.array([number & 0xFF for number in numbers], np.uint8).view(dtype)
    return np.array(numbers, inner[0])

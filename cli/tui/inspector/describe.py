"""A message as a tree of named values, each with a text of one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dimos_record.cli.text import printable
from dimos_record.errors import DecodeError
from dimos_record.messages import decode, type_name_of
from dimos_record.store.base import Row

SHOWN_ITEMS = 8
"""Of a list of messages or texts."""
SHOWN_NUMBERS = 9
"""Arrays up to this length show their numbers, a 3x3 matrix for one; longer ones their range."""
SHOWN_CHARACTERS = 120

_DTYPES: dict[str, type[np.generic]] = {
    "byte": np.uint8,
    "boolean": np.bool_,
    "int8_t": np.int8,
    "int16_t": np.int16,
    "int32_t": np.int32,
    "int64_t": np.int64,
    "float": np.float32,
    "double": np.float64,
}
_CHUNK = 65_536
"""Numbers that are turned into an array at a time: numpy lets no other thread run meanwhile."""
_TIMES = frozenset({"std_msgs.Time", "builtin_interfaces.Time"})
_DURATIONS = frozenset({"std_msgs.Duration", "builtin_interfaces.Duration"})
_FIRST_DATE_S = 10**8
"""Times before 1973 are taken for seconds since something else, the start of a robot for one."""


class Node(NamedTuple):
    """A value in a message: what it is called, what it is, and what is inside."""

    name: str
    """Of the field, or `[3]` for an item of a list; empty for the message itself."""
    value: str
    """One line without control characters; of a message a preview of its fields."""
    kind: str
    """`message`, `list`, `array`, `bytes`, `text`, `number`, `more` (what a list leaves out), or
    `note` (a sentence that stands for a value)."""
    children: tuple[Node, ...] = ()
    type_name: str = ""
    """Of a message: `geometry_msgs.Pose`."""
    data: Any = None
    """What can be shown of the value itself when it is opened: a numpy array, bytes or a str."""

    @property
    def opens(self) -> bool:
        """Whether there is something inside to show."""
        return bool(self.children) or self.data is not None


def describe_row(row: Row) -> tuple[Node, Any]:
    """A recorded message as a tree, and the decoded message.

    Of a channel without a type, and of bytes that cannot be decoded, the tree shows the bytes, and
    the message is None.
    """
    if row.stream.codec == "scalar":
        number = printable(row.data.decode(errors="replace"))
        return Node("", "", "message", (Node("value", number, "number"),)), None
    if row.stream.codec == "pickle":
        note = "A pickle of Python objects, which dimos-record never loads."
        return _bytes_only(row.data, note), None
    if row.stream.type_name is None:
        return _bytes_only(row.data), None
    try:
        message = decode(row.stream.type_name, row.data)
    except DecodeError as error:
        return _bytes_only(row.data, str(error)), None
    return describe(message), message


def describe(message: Any, name: str = "") -> Node:
    """A message of a dimos_lcm class as a tree of its fields, in their order.

    Fields that only give the length of an array are left out.
    """
    type_name = type_name_of(message)
    lengths = {dim for dims in message.__dimensions__ for dim in dims or () if isinstance(dim, str)}
    shape = _shape_of_data(message)
    children = tuple(
        _describe_value(field, getattr(message, field), kind, shape if field == "data" else None)
        for field, kind in zip(message.__slots__, message.__typenames__, strict=True)
        if field not in lengths
    )
    return Node(name, _preview(type_name, message, children), "message", children, type_name)


def _bytes_only(data: bytes, note: str | None = None) -> Node:
    notes = () if note is None else (Node("", printable(note), "note"),)
    return Node("", "", "message", (*notes, _describe_bytes("bytes", data)))


def _describe_value(
    name: str, value: Any, field_type: str, shape: tuple[int, ...] | None = None
) -> Node:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _describe_bytes(name, bytes(value))
    if isinstance(value, str):
        return _describe_text(name, value)
    if hasattr(value, "lcm_encode"):
        return describe(value, name)
    if isinstance(value, (list, tuple, np.ndarray)):
        if field_type in _DTYPES:
            return _describe_array(name, numbers(value, field_type), shape)
        return _describe_list(name, value, field_type)
    return Node(name, number_text(value, short=field_type == "float"), "number")


def _describe_list(name: str, values: Any, field_type: str) -> Node:
    shown = [
        _describe_value(f"[{i}]", value, field_type)
        for i, value in enumerate(islice(values, SHOWN_ITEMS))
    ]
    of_messages = bool(shown) and shown[0].kind == "message"
    item_type = (shown[0].type_name if of_messages else field_type).rpartition(".")[-1]
    text = f"{item_type}[{len(values)}]"
    if not of_messages:
        text = _shortened(" ".join([text, ", ".join(item.value for item in shown)]).strip())
    if len(values) > len(shown):
        shown.append(Node("", f"... {len(values) - len(shown):,} more", "more"))
    return Node(name, text, "list", tuple(shown))


def _describe_bytes(name: str, data: bytes) -> Node:
    text = array_text(np.frombuffer(data, np.uint8))
    return Node(name, text, "bytes", data=data or None)


def _describe_array(name: str, values: NDArray[Any], shape: tuple[int, ...] | None) -> Node:
    if shape is not None and math.prod(shape) == values.size:
        values = values.reshape(shape)
    return Node(name, array_text(values), "array", data=values if values.size else None)


def _describe_text(name: str, text: str) -> Node:
    head = printable(text[:SHOWN_CHARACTERS])
    shown = f'"{_shortened(head)}"'
    if len(text) > SHOWN_CHARACTERS:
        shown += f" {len(text):,} characters"
    whole = len(text) <= SHOWN_CHARACTERS // 4 and head == text
    return Node(name, shown, "text", data=None if whole else text)


def numbers(values: Any, field_type: str) -> NDArray[Any]:
    """The numbers of a field as an array of the type that they have in the message."""
    dtype = _DTYPES[field_type]
    if len(values) <= _CHUNK or isinstance(values, np.ndarray):
        return np.asarray(values, dtype)
    chunks = [values[at : at + _CHUNK] for at in range(0, len(values), _CHUNK)]
    return np.concatenate([np.asarray(chunk, dtype) for chunk in chunks])


def _shape_of_data(message: Any) -> tuple[int, ...] | None:
    """What the layout of a MultiArray says of its data."""
    dims = getattr(getattr(message, "layout", None), "dim", None)
    return tuple(dim.size for dim in dims) if dims and all(d.size > 0 for d in dims) else None


def array_text(values: NDArray[Any]) -> str:
    """`float32[3, 20000] -1.5..8.25 mean 2.1, 12 not finite`; short arrays number by number."""
    kind = f"{values.dtype}[{', '.join(map(str, values.shape))}]"
    if values.size == 0:
        return kind
    if values.size <= SHOWN_NUMBERS:
        short = values.dtype == np.float32
        return f"{kind} {', '.join(number_text(v, short=short) for v in values.flat)}"
    if values.dtype == np.bool_:
        return f"{kind} {np.count_nonzero(values):,} true"
    finite = values
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
    if finite.size == 0:
        return f"{kind} none finite"
    missing = values.size - finite.size
    return f"{kind} {range_text(finite)}" + (f", {missing:,} not finite" if missing else "")


def range_text(finite: NDArray[Any]) -> str:
    """`-1.5..8.25 mean 2.1`, or `all 0`."""
    low, high = finite.min(), finite.max()
    if low == high:
        return f"all {low:.5g}"
    return f"{low:.5g}..{high:.5g} mean {finite.mean(dtype=np.float64):.4g}"


def number_text(value: Any, *, short: bool = False) -> str:
    """A number with as many digits as mean something.

    Args:
        value: a number of Python or numpy.
        short: it has been a 32-bit float, with seven digits.
    """
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if not isinstance(value, (float, np.floating)):
        return str(value)
    number = float(value)
    if short:
        return f"{number:.7g}"
    if math.isfinite(number) and abs(number) >= 1e8:
        return repr(number)  # a time in seconds has its fraction behind the tenth digit
    return f"{number:.9g}"


def _preview(type_name: str, message: Any, children: Sequence[Node]) -> str:
    if type_name in _TIMES or type_name in _DURATIONS:
        return _time_text(type_name, *(getattr(message, field) for field in message.__slots__))
    parts = []
    for child in children:
        if child.name != "header":
            of_several = child.kind == "message" and child.type_name not in _TIMES
            parts.append(f"{child.name} ({child.value})" if of_several else _pair(child))
    return _shortened(", ".join(parts))


def _pair(node: Node) -> str:
    return f"{node.name} {node.value}"


def _time_text(type_name: str, sec: int, nsec: int) -> str:
    """`2026-11-20 10:15:30.123456789`, local time, or `12.500000000 s`."""
    if type_name in _DURATIONS or sec < _FIRST_DATE_S or not 0 <= nsec < 10**9:
        total_ns = sec * 10**9 + nsec
        return (
            f"{'-' if total_ns < 0 else ''}{abs(total_ns) // 10**9}.{abs(total_ns) % 10**9:09d} s"
        )
    return f"{datetime.fromtimestamp(sec):%Y-%m-%d %H:%M:%S}.{nsec:09d}"


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"

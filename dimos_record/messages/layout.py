"""Where things are in the bytes of a message, found without decoding it.

The description of a type (``__slots__``, ``__typenames__``, ``__dimensions__`` of its generated
class) is compiled once into a plan: a list of steps through the bytes. Nested messages are laid
flat, and neighbouring fields of fixed size become one skip, so that arrays of numbers cost the same
at any length and most messages take a handful of steps.

Which nested messages a plan marks is up to a predicate, ``wanted(path, type_name)``. The path is
the tuple of field names from the message down, with `[]` for the items of an array:
``("transforms", "[]", "header")``; it is ``()`` for the message itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from dimos_record.errors import DecodeError
from dimos_record.messages.registry import fingerprint, message_class

Path = tuple[str, ...]
Wanted = Callable[[Path, str], bool]

FINGERPRINT_BYTES = 8

SIZES = {
    "byte": 1,
    "boolean": 1,
    "int8_t": 1,
    "int16_t": 2,
    "int32_t": 4,
    "int64_t": 8,
    "float": 4,
    "double": 8,
}
"""Bytes of the numbers of LCM, all big-endian."""
_read_string_length = struct.Struct(">I").unpack_from

SKIP, MARK, STRING, LENGTH, BLOCK, REPEAT = range(6)


class Step(NamedTuple):
    """One step through the bytes; what its fields mean depends on its kind.

    SKIP passes ``size`` bytes. MARK notes the position. STRING passes a string and its length.
    LENGTH reads the ``size`` bytes of the integer ``name``, the length of a later array.
    BLOCK passes an array of items of ``size`` bytes; REPEAT takes ``steps`` once per item.
    ``dims`` are the array's dimensions: numbers, or names of lengths read before.
    """

    kind: int
    size: int = 0
    name: str = ""
    steps: tuple[Any, ...] = ()
    dims: tuple[int | str, ...] = ()


class Plan:
    """The way through the bytes of a type, and the marks on it."""

    def __init__(self, type_name: str, fingerprint: int, steps: tuple[Step, ...]) -> None:
        self.type_name = type_name
        self.fingerprint = fingerprint
        self._packed_fingerprint = fingerprint.to_bytes(FINGERPRINT_BYTES, "big")
        self._steps = steps

    @property
    def offset(self) -> int | None:
        """Where the mark is, if there is just one, in the same place in every message."""
        kinds = [step.kind for step in self._steps]
        if kinds == [MARK]:
            return FINGERPRINT_BYTES
        if kinds == [SKIP, MARK]:
            return FINGERPRINT_BYTES + self._steps[0].size
        return None

    def locate(self, data: bytes, size: int) -> list[int]:
        """Positions of the marks, in order, each with at least ``size`` bytes of data behind it.

        Raises:
            DecodeError: the bytes are of another type or version, or they end too early.
        """
        marks: list[int] = []
        end = self._walk(data, marks)
        if max(end, marks[-1] + size if marks else 0) > len(data):
            raise DecodeError(self._truncated(data))
        return marks

    def check(self, data: bytes) -> int:
        """The length of the message in bytes; ``data`` may be longer.

        Raises:
            DecodeError: the bytes are of another type or version, or they end too early.
        """
        end = self._walk(data, [])
        if end > len(data):
            raise DecodeError(self._truncated(data))
        return end

    def _walk(self, data: bytes, marks: list[int]) -> int:
        if data[:FINGERPRINT_BYTES] != self._packed_fingerprint:
            raise DecodeError(
                f"The bytes are not a {self.type_name}, or one of another version: they start with "
                f"{bytes(data[:FINGERPRINT_BYTES]).hex() or 'nothing'} and its fingerprint is "
                f"{self._packed_fingerprint.hex()}."
            )
        try:
            return _walk(self._steps, data, FINGERPRINT_BYTES, marks)
        except (struct.error, OverflowError) as error:
            raise DecodeError(self._truncated(data)) from error

    def _truncated(self, data: bytes) -> str:
        return f"The {self.type_name} is truncated or damaged: its {len(data)} bytes end too early."


def _walk(steps: Iterable[Step], data: bytes, pos: int, marks: list[int]) -> int:
    """Take the steps from ``pos``, append the marks, and return the position behind the last.

    The position may be beyond the data. Raises struct.error when a length is, or is negative.
    """
    lengths: dict[str, int] = {}
    for kind, size, name, inner, dims in steps:
        if kind == SKIP:
            pos += size
        elif kind == STRING:
            pos += 4 + _read_string_length(data, pos)[0]
        elif kind == MARK:
            marks.append(pos)
        elif kind == LENGTH:
            if pos + size > len(data):
                raise struct.error("no length")
            lengths[name] = int.from_bytes(data[pos : pos + size], "big", signed=True)
            pos += size
        elif kind == BLOCK:
            pos += size * _item_count(dims, lengths)
        else:
            for _ in range(_item_count(dims, lengths)):
                pos = _walk(inner, data, pos, marks)
    return pos


def _item_count(dims: tuple[int | str, ...], lengths: dict[str, int]) -> int:
    count = 1
    for dim in dims:
        length = lengths[dim] if isinstance(dim, str) else dim
        if length < 0:
            raise struct.error("negative length")
        count *= length
    return count


@lru_cache(maxsize=4096)
def whole(type_name: str) -> Plan | None:
    """The plan through all bytes of a type, with no marks; None for an unknown type."""
    known = fingerprint(type_name)
    if known is None:
        return None
    steps = _merged(_steps_of(type_name, lambda _path, _type: False))
    return Plan(type_name, known, tuple(steps))


def marking(type_name: str, wanted: Wanted, *, first_only: bool = False) -> Plan | None:
    """The plan as far as the last wanted message (``first_only``: the first) in a type.

    With ``first_only`` a mark inside an array is that of the first item; in a message whose array
    is empty it lies behind the end, so ask for it only where nothing follows the array.

    Returns:
        None if the type is not known or holds no wanted message.
    """
    known = fingerprint(type_name)
    if known is None:
        return None
    steps = _steps_of(type_name, wanted)
    steps = _until_first_mark(steps) if first_only else _until_last_mark(steps)
    return Plan(type_name, known, tuple(_merged(steps))) if steps else None


def _steps_of(type_name: str, wanted: Wanted, path: Path = ()) -> list[Step]:
    """The steps of a message, nested ones laid flat; lengths are named by their path."""
    cls = message_class(type_name)
    if cls is None:
        raise DecodeError(
            f"{type_name} is used by another message type but dimos_lcm has no such type; "
            "reinstall dimos-lcm."
        )
    dimensions = [dims or () for dims in cls.__dimensions__]
    lengths = {dim for dims in dimensions for dim in dims if isinstance(dim, str)}
    steps = [Step(MARK)] if wanted(path, type_name) else []
    for field, field_type, dims in zip(cls.__slots__, cls.__typenames__, dimensions, strict=True):
        here = (*path, field)
        if dims:
            named = tuple(".".join((*path, d)) if isinstance(d, str) else d for d in dims)
            steps.append(_array(_value(type_name, field_type, wanted, (*here, "[]")), named))
        elif field in lengths:
            steps.append(Step(LENGTH, SIZES[field_type], ".".join(here)))
        else:
            steps.extend(_value(type_name, field_type, wanted, here))
    return steps


def _value(owner: str, field_type: str, wanted: Wanted, path: Path) -> list[Step]:
    """The steps through one value of a field's type; ``owner`` is the type that has the field."""
    if field_type == "string":
        return [Step(STRING)]
    if field_type in SIZES:
        return [Step(SKIP, SIZES[field_type])]
    # A nested type of the same package is named without it.
    package = owner.partition(".")[0]
    return _steps_of(field_type if "." in field_type else f"{package}.{field_type}", wanted, path)


def _array(item: list[Step], dims: tuple[int | str, ...]) -> Step:
    merged = _merged(item)
    if all(step.kind == SKIP for step in merged):
        return Step(BLOCK, sum(step.size for step in merged), dims=dims)
    return Step(REPEAT, steps=tuple(merged), dims=dims)


def _has_mark(step: Step) -> bool:
    return step.kind == MARK or any(_has_mark(inner) for inner in step.steps)


def _until_last_mark(steps: list[Step]) -> list[Step]:
    last = max((i for i, step in enumerate(steps) if _has_mark(step)), default=-1)
    return steps[: last + 1]


def _until_first_mark(steps: list[Step]) -> list[Step]:
    first = next((i for i, step in enumerate(steps) if _has_mark(step)), None)
    if first is None:
        return []
    inner = list(steps[first].steps)
    return steps[:first] + (_until_first_mark(inner) if inner else [steps[first]])


def _merged(steps: list[Step]) -> list[Step]:
    """The same way in fewer steps: lengths that nobody needs and fixed arrays are skips too."""
    needed = {dim for step in steps for dim in step.dims if isinstance(dim, str)}
    merged: list[Step] = []
    for step in steps:
        size = _fixed_size(step, needed)
        if size is None:
            merged.append(step)
        elif merged and merged[-1].kind == SKIP:
            merged[-1] = Step(SKIP, merged[-1].size + size)
        elif size:
            merged.append(Step(SKIP, size))
    return merged


def _fixed_size(step: Step, needed: set[str]) -> int | None:
    """The bytes that a step always passes; None if that depends on the message."""
    if step.kind == SKIP or (step.kind == LENGTH and step.name not in needed):
        return step.size
    if step.kind == BLOCK and not any(isinstance(dim, str) for dim in step.dims):
        return step.size * _item_count(step.dims, {})
    return None

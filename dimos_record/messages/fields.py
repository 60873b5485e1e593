"""The fields of a type laid flat: which there are, what they hold, and where in the bytes they are.

A path names a field from the message down, as in `pose.position.x`. The items of an array of fixed
length are fields of their own, counted from 0: `pose.covariance.35`. An array of any length holds a
list per message: `position` of a joint state, and `transforms.child_frame_id` of a TFMessage, in
which each of the transforms has one; one item of it is `position.3`, `transforms.0.child_frame_id`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from dimos_record.errors import OptionError
from dimos_record.messages.layout import SIZES
from dimos_record.messages.registry import fingerprint, message_class

_STRING_BYTES = 4
"""Of its length, the least that a string takes."""
_MOST_NAMED = 12
_MOST_DIGITS = 9
"""Of the number of an item."""


class Field(NamedTuple):
    """One number or string of a message, or one in each item of an array."""

    path: str
    """`pose.position.x`, `pose.covariance.35`, `transforms.child_frame_id`"""
    kind: str
    """LCM's name: `double`, `int32_t`, `boolean`, `byte`, `string` ..."""
    array: str | None = None
    """The array of any length in whose items it is, `transforms`; None for one per message."""

    @property
    def is_number(self) -> bool:
        """Whether it can be plotted; a truth value is 0 or 1."""
        return self.kind != "string"

    def item(self, index: int) -> str:
        """The path of what it is in one item of its array: `transforms.0.child_frame_id`."""
        array = self.array or ""
        return f"{array}.{index}{self.path[len(array) :]}"


class LeftOut(NamedTuple):
    """A field that has no place in a table."""

    path: str
    why: str


class Place(NamedTuple):
    """Where a field is in a run of bytes of fixed size."""

    field: Field
    offset: int


class Run(NamedTuple):
    """Bytes of fixed size: numbers, and the lengths of arrays that follow."""

    size: int
    places: tuple[Place, ...]
    lengths: tuple[tuple[str, int, str], ...]
    """Path, offset and kind of each."""


class Text(NamedTuple):
    """One string."""

    field: Field | None
    """None where nobody wants it."""


class Array(NamedTuple):
    """Items, as many as a length says that was read before."""

    length: str
    items: tuple[Run | Text | Array, ...]
    least_size: int
    """Bytes that one item takes at least."""


Part = Run | Text | Array


@dataclass(frozen=True)
class Layout:
    """All fields of a type, and the parts of its bytes one after the other."""

    type_name: str
    fingerprint: int
    fields: tuple[Field, ...]
    left_out: tuple[LeftOut, ...]
    parts: tuple[Part, ...]


@lru_cache(maxsize=1024)
def layout_of(type_name: str | None) -> Layout | None:
    """The fields of a type; None when it is not known."""
    known = None if type_name is None else fingerprint(type_name)
    if known is None or type_name is None:
        return None
    builder = _Builder()
    builder.message(type_name, "", array=None, deep=False)
    return Layout(
        type_name, known, tuple(builder.fields), tuple(builder.left_out), tuple(builder.done())
    )


def numeric_fields(type_name: str | None) -> list[str]:
    """Paths of everything in a type that can be plotted, the header's last.

    Of lists it is that of the first item.
    """
    layout = layout_of(type_name)
    numbers = [one for one in layout.fields if one.is_number] if layout else []
    paths = [one.path if one.array is None else one.item(0) for one in numbers]
    return sorted(paths, key=lambda path: path.startswith("header."))


def find_field(type_name: str | None, path: str) -> tuple[Field, int | None]:
    """The number that a path names, and which item of a list is meant; None where it is no list.

    Raises:
        OptionError: there is none; the sentence names those that there are.
    """
    layout = layout_of(type_name)
    if layout is None:
        raise OptionError(
            f"{type_name or 'a channel without a type'} has no fields that could be found: "
            "dimos_lcm has no such type"
        )
    numbers = {one.path: one for one in layout.fields if one.is_number}
    found = numbers.get(path)
    if found is not None and found.array is None:
        return found, None
    for without, index in _without_an_index(path):
        one = numbers.get(without)
        if one is not None and one.array is not None and one.item(index) == path:
            return one, index
    raise OptionError(_no_such_field(layout, path))


def _without_an_index(path: str) -> Iterator[tuple[str, int]]:
    """A path without one of the numbers in it, and that number."""
    names = path.split(".")
    for i, name in enumerate(names):
        if name.isascii() and name.isdecimal() and len(name) <= _MOST_DIGITS:
            yield ".".join(names[:i] + names[i + 1 :]), int(name)


def _no_such_field(layout: Layout, path: str) -> str:
    paths = numeric_fields(layout.type_name)
    if not paths:
        return f"{layout.type_name} has no number in it that could be plotted"
    below = [one for one in paths if one.startswith(f"{path}.")]
    near = below or [one for one in paths if _is_within(path.split("."), one.split("."))]
    near = near or difflib.get_close_matches(path, paths, n=4, cutoff=0.6) or paths
    named = ", ".join(near[:_MOST_NAMED]) + (" ..." if len(near) > _MOST_NAMED else "")
    if below:
        return f"{path} of {layout.type_name} holds several fields; write one of {named}"
    return f"{layout.type_name} has no number {path!r}; it has {named}"


def _is_within(names: list[str], path: list[str]) -> bool:
    """Whether a path has these names in this order, and ends like them: `pose.x` is such."""
    rest = iter(path)
    return names[-1] == path[-1] and all(name in rest for name in names)


@dataclass
class _Builder:
    """Collects the fields of a type and joins neighbours of fixed size to one run."""

    fields: list[Field] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    _parts: list[Part] = field(default_factory=list)
    _size: int = 0
    _places: list[Place] = field(default_factory=list)
    _lengths: list[tuple[str, int, str]] = field(default_factory=list)

    def done(self) -> list[Part]:
        """The parts; what is left of a run is closed."""
        if self._size:
            self._parts.append(Run(self._size, tuple(self._places), tuple(self._lengths)))
            self._size, self._places, self._lengths = 0, [], []
        return self._parts

    def message(self, type_name: str, path: str, array: str | None, deep: bool) -> None:
        """Add a message; `array` is where it is an item, `deep` whether that is in another."""
        cls = message_class(type_name)
        if cls is None:
            raise OptionError(f"dimos_lcm lacks {type_name}; reinstall it: pip install dimos-lcm")
        dimensions = [dims or () for dims in cls.__dimensions__]
        lengths = {dim for dims in dimensions for dim in dims if isinstance(dim, str)}
        for name, kind, dims in zip(cls.__slots__, cls.__typenames__, dimensions, strict=True):
            here = f"{path}.{name}" if path else name
            if kind not in SIZES and kind != "string" and "." not in kind:
                kind = f"{type_name.partition('.')[0]}.{kind}"
            if name in lengths:
                self._lengths.append((here, self._size, kind))
                self._size += SIZES[kind]
            elif not dims:
                self._value(kind, here, array, deep)
            elif isinstance(dims[0], str):
                self._array(kind, here, f"{path}.{dims[0]}" if path else dims[0], array)
            else:
                for i in range(dims[0]):
                    self._value(kind, f"{here}.{i}", array, deep)

    def _value(self, kind: str, path: str, array: str | None, deep: bool) -> None:
        if kind not in SIZES and kind != "string":
            self.message(kind, path, array, deep)
            return
        wanted = None if deep else Field(path, kind, array)
        if wanted is not None:
            self.fields.append(wanted)
        if kind == "string":
            self.done()
            self._parts.append(Text(wanted))
        else:
            if wanted is not None:
                self._places.append(Place(wanted, self._size))
            self._size += SIZES[kind]

    def _array(self, kind: str, path: str, length: str, within: str | None) -> None:
        why = "a list in each item of a list" if within else None
        if kind == "byte":
            why = "bytes of any length"
        if why:
            self.left_out.append(LeftOut(path, why))
        items = _Builder()
        items._value(kind, path, path, deep=why is not None)
        self.fields += items.fields
        self.left_out += items.left_out if why is None else []
        self.done()
        parts = tuple(items.done())
        self._parts.append(Array(length, parts, sum(map(_least_size, parts))))


def _least_size(part: Part) -> int:
    if isinstance(part, Run):
        return part.size
    return _STRING_BYTES if isinstance(part, Text) else 0

"""The pages of B-trees, their cells and records, each trusted as far as it can be right.

Format: https://sqlite.org/fileformat2.html#b_tree_pages
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR = 13, 5, 10, 2
_LEAVES, _INTERIORS = (TABLE_LEAF, INDEX_LEAF), (TABLE_INTERIOR, INDEX_INTERIOR)
_FIRST_HEADER = 100
"""Bytes of the first page that are the header of the file."""
_FIXED = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Sizes of integers by their type in a record."""
_double = struct.Struct(">d").unpack_from

ReadPage = Callable[[int], bytes]
Record = tuple[Any, ...]


class Malformed(ValueError):
    """Bytes that cannot be what they should be."""


class Cell(NamedTuple):
    """An entry of a tree."""

    rowid: int
    """0 in an index."""
    size: int
    """Of the whole payload in bytes."""
    local: bytes
    """The part of it that is on the page."""
    overflow: int
    """The page where it goes on; 0 if it does not."""


def kind_of(page: bytes, number: int = 2) -> int:
    """What a page is: one of the four kinds, or something else."""
    start = _FIRST_HEADER if number == 1 else 0
    return page[start] if len(page) > start else 0


def is_leaf(page: bytes) -> bool:
    """Whether a page, not the first one, looks like a leaf of a table."""
    if len(page) < 8 or page[0] != TABLE_LEAF:
        return False
    count, content = int.from_bytes(page[3:5], "big"), int.from_bytes(page[5:7], "big")
    return 8 + 2 * count <= (content or 65536) <= max(len(page), 65536 * (content == 0))


def varint(data: bytes, at: int) -> tuple[int, int]:
    """An integer of variable length, and the place behind it.

    Raises:
        IndexError: the data end before it.
    """
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    value = value << 8 | data[at]
    return (value - 2**64 if value >= 2**63 else value), at + 1


def cells(page: bytes, number: int = 2) -> Iterator[Cell]:
    """The entries of a page that can be read; of an interior page of a table there are none."""
    kind = kind_of(page, number)
    if kind not in (*_LEAVES, INDEX_INTERIOR):
        return
    for at in _pointers(page, number):
        try:
            yield _cell(page, at, kind)
        except (IndexError, Malformed):
            continue


def children(page: bytes, number: int = 2) -> list[int]:
    """The pages below an interior page, in order; 0 where a place on the page cannot be right."""
    start = _FIRST_HEADER if number == 1 else 0
    if kind_of(page, number) not in _INTERIORS:
        return []
    below = [int.from_bytes(page[at : at + 4], "big") for at in _pointers(page, number)]
    return [*below, int.from_bytes(page[start + 8 : start + 12], "big")]


def _pointers(page: bytes, number: int) -> Iterator[int]:
    start = _FIRST_HEADER if number == 1 else 0
    first = start + (12 if page[start] in _INTERIORS else 8)
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    last = min(first + 2 * count, len(page) - 1)
    for at in range(first, last, 2):
        pointer = (page[at] << 8 | page[at + 1]) & (len(page) - 1)  # as SQLite does
        if pointer >= last:
            yield pointer


def _cell(page: bytes, at: int, kind: int) -> Cell:
    if kind == INDEX_INTERIOR:
        at += 4
    size, at = varint(page, at)
    rowid = 0
    if kind == TABLE_LEAF:
        rowid, at = varint(page, at)
    local = _local_size(size, len(page), kind)
    end = at + local
    overflow = 0
    if local < size:
        overflow = int.from_bytes(page[end : end + 4], "big")
    if size < 1 or end + 4 * (local < size) > len(page):
        raise Malformed("a cell reaches beyond its page")
    return Cell(rowid, size, page[at:end], overflow)


def _local_size(size: int, usable: int, kind: int) -> int:
    """How many bytes of a payload are on the page itself."""
    most = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    local = least + (size - least) % (usable - 4)
    return local if local <= most else least


def payload(cell: Cell, read: ReadPage) -> bytes | None:
    """The whole payload of a cell; None if a page of it is missing.

    Args:
        read: gives a page by its number, no bytes for one that is missing.
    """
    if not cell.overflow and len(cell.local) == cell.size:
        return cell.local
    parts, left, number = [cell.local], cell.size - len(cell.local), cell.overflow
    passed: set[int] = set()
    while left > 0:
        page = b"" if number in passed else read(number)
        if not page:
            return None
        passed.add(number)
        part = page[4 : 4 + left]
        parts.append(part)
        left -= len(part)
        number = int.from_bytes(page[:4], "big")
    return b"".join(parts)


def record(data: bytes) -> Record | None:
    """The values of a record; None if the bytes cannot be one."""
    try:
        end, at = varint(data, 0)
        if not at <= end <= len(data):
            return None
        values, place = [], end
        while at < end:
            kind, at = varint(data, at)
            value, place = _value(data, kind, place)
            values.append(value)
    except (IndexError, Malformed, UnicodeDecodeError):
        return None
    return tuple(values) if at == end and place == len(data) else None


def _value(data: bytes, kind: int, at: int) -> tuple[Any, int]:
    if kind == 0:
        return None, at
    if kind in _FIXED:
        end = at + _FIXED[kind]
        value: Any = int.from_bytes(data[at:end], "big", signed=True)
    elif kind == 7:
        end = at + 8
        value = _double(data, at)[0] if end <= len(data) else None
    elif kind in (8, 9):
        return kind - 8, at
    elif kind >= 12:
        end = at + (kind - 12) // 2
        value = data[at:end] if kind % 2 == 0 else data[at:end].decode()
    else:
        raise Malformed("a value of an unknown kind")
    if end > len(data):
        raise Malformed("a value reaches beyond its record")
    return value, end

"""Reading SQLite's binary JSON, which dimos uses for tags, also where SQLite is too old for it.

Format: https://sqlite.org/jsonb.html
"""

from __future__ import annotations

import json
from typing import Any

from dimos_record.store.connection import BadContent

_NULL, _TRUE, _FALSE, _INT, _INT5, _FLOAT, _FLOAT5 = range(7)
_TEXT, _TEXTJ, _TEXT5, _TEXTRAW, _ARRAY, _OBJECT = range(7, 13)


class BadJsonb(BadContent):
    """The bytes are neither JSON nor JSONB."""


def loads(data: bytes | str | None) -> Any:
    """Decode JSON as text or as SQLite's JSONB; nothing is an empty object.

    Raises:
        BadJsonb: the bytes are neither.
    """
    if not data:
        return {}
    if isinstance(data, str):
        return _text(data)
    if data[:1] in (b"{", b"["):  # text, or an array of 7 or 5 bytes
        try:
            return _text(data)
        except BadJsonb:
            pass
    try:
        value, end = _element(data, 0, len(data))
    except IndexError:
        raise BadJsonb("binary JSON is cut short") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise BadJsonb(f"binary JSON cannot be read: {error}") from None
    if end != len(data):
        raise BadJsonb("binary JSON has bytes left over")
    return value


def _text(data: bytes | str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadJsonb(f"JSON cannot be read: {error}") from None


def _element(data: bytes, at: int, limit: int) -> tuple[Any, int]:
    """The element at a place, and where it ends: not beyond the one that it is part of."""
    kind, size = data[at] & 0x0F, data[at] >> 4
    at += 1
    if size > 11:
        width = 1 << (size - 12)
        size = int.from_bytes(data[at : at + width], "big")
        at += width
    end = at + size
    if end > limit:
        raise IndexError
    if kind == _ARRAY:
        return _items(data, at, end), end
    if kind == _OBJECT:
        flat = _items(data, at, end)
        return dict(zip(flat[::2], flat[1::2], strict=True)), end
    return _scalar(kind, data[at:end].decode()), end


def _items(data: bytes, at: int, end: int) -> list[Any]:
    items = []
    while at < end:
        item, at = _element(data, at, end)
        items.append(item)
    return items


def _scalar(kind: int, text: str) -> Any:
    if kind in (_NULL, _TRUE, _FALSE):
        return (None, True, False)[kind]
    if kind == _INT:
        return int(text)
    if kind == _INT5:
        return int(text, 0)
    if kind in (_FLOAT, _FLOAT5):
        return float(text)
    if kind in (_TEXT, _TEXTRAW):
        return text
    if kind in (_TEXTJ, _TEXT5):
        return json.loads(f'"{text}"')
    raise ValueError(f"unknown kind {kind} in binary JSON")

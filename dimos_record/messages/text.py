"""Messages for people and for JSON: plain values, and a short text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dimos_record.messages.coding import decode, encode
from dimos_record.messages.registry import is_generated, type_name_of

_MAX_STRING = 200
"""Characters of a string that a summary shows; a robot description has 50,000."""


def to_plain(message: Any) -> dict[str, Any]:
    """A message as dict, list, str, number, bool and bytes, in the order of its fields.

    Nested messages become dicts, arrays lists of any length, and byte arrays bytes. The fields that
    only give the length of an array are left out. Messages of other libraries (dimos's own) are
    taken through their wire bytes.

    Raises:
        OptionError: the object is not a message.
        DecodeError: it is a message of another library, and dimos_lcm does not know its type.
    """
    type_name = type_name_of(message)
    if not is_generated(type(message)):
        message = decode(type_name, encode(message))
    lengths = {dim for dims in message.__dimensions__ for dim in dims or () if isinstance(dim, str)}
    return {
        field: _plain(getattr(message, field))
        for field in message.__slots__
        if field not in lengths
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if hasattr(value, "tolist"):  # an array or number of numpy, which may be a float too
        return value.tolist()
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return to_plain(value)


def summarize(message: Any, max_items: int = 8) -> str:
    """A message as text for the terminal, in the manner of YAML, a field per line.

    Byte arrays appear as `<921600 bytes>`, arrays of more than ``max_items`` numbers or strings as
    `[0.1, 0.2, ... 360 items]`, and of longer arrays of messages the first ``max_items`` are shown.

    Raises:
        OptionError, DecodeError: as `to_plain`.
    """
    return "\n".join(_mapping(to_plain(message), max_items)) or "{}"


def _mapping(fields: dict[str, Any], max_items: int) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield f"{name}:"
            yield from (f"  {line}" for line in _mapping(value, max_items))
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield f"{name}:"
            yield from (f"  {line}" for line in _items(value, max_items))
        else:
            yield f"{name}: {_inline(value, max_items)}"


def _items(values: list[dict[str, Any]], max_items: int) -> Iterator[str]:
    for value in values[:max_items]:
        lines = list(_mapping(value, max_items)) or ["{}"]
        yield f"- {lines[0]}"
        yield from (f"  {line}" for line in lines[1:])
    if len(values) > max_items:
        yield f"... {len(values)} items"


def _inline(value: Any, max_items: int) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, list):
        shown = [_inline(item, max_items) for item in value[:max_items]]
        if len(value) > max_items:
            shown.append(f"... {len(value)} items")
        return f"[{', '.join(shown)}]"
    if isinstance(value, str):
        cut = value[:_MAX_STRING]
        rest = f"... {len(value)} characters" if len(value) > _MAX_STRING else ""
        return json.dumps(cut, ensure_ascii=False) + rest
    return "true" if value is True else "false" if value is False else repr(value)

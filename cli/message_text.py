"""Messages as `echo` prints them."""

from __future__ import annotations

import base64
import json
import math
import re
import sys
from typing import Any

from dimos_record.cli.running import say
from dimos_record.cli.text import json_text, moment, printable
from dimos_record.errors import DecodeError, OptionError
from dimos_record.messages import summarize, to_plain
from dimos_record.store.observation import Observation

_HEAD_BYTES = 32
_MOST_DIGITS = 9
_STEP = re.compile(r"[^.\[\]]+")


class MessagePrinter:
    """Turns messages into text: as people read them, as JSON, as hex, or one field of them.

    Args:
        field: `pose.position.x`, `poses.0.pose`; None shows all of them.
        full: show every element of arrays.
        raw: do not decode.
        as_json: one line of JSON per message.
    """

    def __init__(self, *, field: str | None, full: bool, raw: bool, as_json: bool) -> None:
        self._path = _STEP.findall(field) if field is not None else None
        if field is not None and not self._path:
            raise OptionError(f"--field {field!r} names no field; write for example pose.x")
        self._max_items = sys.maxsize if full else 8
        self._raw, self._as_json = raw, as_json
        self._noted: set[str | None] = set()

    def __call__(self, message: Observation) -> str:
        """The text of one message, without the newline at its end.

        Raises:
            OptionError: the message has no such field.
        """
        value = message.raw if self._raw else self._value(message)
        if self._as_json:
            return _json(message, value)
        if self._path is not None:
            text = self._inline(value)
        else:
            text = f"{_heading(message)}\n{self._body(message, value)}\n---"
        return "\n".join(map(printable, text.split("\n")))

    def _value(self, message: Observation) -> Any:
        """The decoded message or its field; the bytes where they cannot be decoded."""
        try:
            value = message.data
        except DecodeError as error:
            if message.topic not in self._noted:
                self._noted.add(message.topic)
                say(f"note: {message.topic}: {error}")
            return message.raw
        if self._path is None:
            return value
        return _field(value, self._path, message.topic)

    def _body(self, message: Observation, value: Any) -> str:
        if isinstance(value, bytes):
            head = value if self._raw else value[:_HEAD_BYTES]
            rest = " ..." if len(value) > len(head) else ""
            return f"{len(value):,} bytes: {head.hex()}{rest}"
        return self._inline(value)

    def _inline(self, value: Any) -> str:
        if hasattr(value, "lcm_encode"):
            return summarize(value, self._max_items)
        if isinstance(value, (bytes, bytearray)):
            return f"<{len(value)} bytes>" if self._max_items < sys.maxsize else value.hex()
        plain = _plain(value)
        if isinstance(plain, list) and len(plain) > self._max_items:
            shown = json.dumps(plain[: self._max_items])[:-1]
            return f"{shown}, ... {len(plain)} items]"
        return json_text(plain)


def _heading(message: Observation) -> str:
    topic, kind = printable(message.topic), printable(message.type_name or "no type")
    return f"# {topic}  {kind}  {moment(message.ts_ns)}"


def _is_index(step: str) -> bool:
    return step.isascii() and step.isdecimal() and len(step) <= _MOST_DIGITS


def _field(value: Any, path: list[str], topic: str) -> Any:
    """A field by its path; numbers are places in arrays.

    Raises:
        OptionError: there is none.
    """
    at = ""
    for step in path:
        names = getattr(value, "__slots__", ())
        if step in names:
            value = getattr(value, step)
        elif _is_index(step) and hasattr(value, "__getitem__") and int(step) < len(value):
            value = value[int(step)]
        else:
            raise OptionError(
                f"--field {'.'.join(path)}: {topic}{at} has no {step!r}; {_what_it_has(value)}"
            )
        at += f".{step}"
    return value


def _what_it_has(value: Any) -> str:
    names = getattr(value, "__slots__", ())
    if names:
        return f"it has {', '.join(names)}"
    if hasattr(value, "__len__") and not isinstance(value, str):
        return f"it has {len(value):,} elements"
    return f"it is {value!r}"


def _json(message: Observation, value: Any) -> str:
    line = {
        "topic": message.topic,
        "type": message.type_name,
        "ts_ns": message.ts_ns,
        "stamp_ns": message.stamp_ns,
        "data": _plain(value),
    }
    try:
        return json_text(line, allow_nan=False, default=_as_base64)
    except ValueError:  # JSON has no NaN and no infinity
        line["data"] = _without_nan(line["data"])
        return json_text(line, default=_as_base64)


def _plain(value: Any) -> Any:
    if hasattr(value, "lcm_encode"):
        return to_plain(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _as_base64(value: Any) -> str:
    return base64.b64encode(value).decode()


def _without_nan(value: Any) -> Any:
    """NaN and infinities as the strings that protobuf's JSON uses."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value

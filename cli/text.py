"""Figures as people read them."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from dimos_record.errors import printable as printable


def size(number: float) -> str:
    """`921.6 kB`, decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def counted(number: int, noun: str) -> str:
    """`1 topic`, `1,234 topics`"""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rate(hertz: float) -> str:
    """`199.8 Hz`, `0.50 Hz`, `12,345 Hz`"""
    digits = 2 if hertz < 10 else 1 if hertz < 1000 else 0
    return f"{hertz:,.{digits}f} Hz"


def seconds(duration_s: float) -> str:
    """`35 µs`, `12.3 ms`, `12.3 s`, `4:05.0`, `1:02:03`"""
    if duration_s < 0.9995e-3:
        return f"{duration_s * 1e6:.0f} µs" if duration_s else "0 s"
    if duration_s < 0.9995:
        return f"{duration_s * 1e3:.3g} ms"
    if duration_s < 59.95:
        return f"{duration_s:.1f} s"
    minutes, rest = divmod(duration_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:02.0f}" if hours else f"{minutes}:{rest:04.1f}"


def json_text(value: Any, **options: Any) -> str:
    """A value as JSON in which everything that a terminal would obey is escaped."""
    return _NOT_PLAIN.sub(_escaped, json.dumps(value, ensure_ascii=False, **options))


_NOT_PLAIN = re.compile(r"[^\n -~]")


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def moment(time_ns: int) -> str:
    """`2026-11-20 10:15:30.123`, local time."""
    return datetime.fromtimestamp(time_ns / 1e9).isoformat(" ", "milliseconds")

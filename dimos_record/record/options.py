"""What a recording session may be told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dimos_record.errors import OptionError

_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*((?:[kMGT]i?)?B?)\s*\Z", re.IGNORECASE)
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s|sec|m|min|h)?\s*\Z", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}


@dataclass(frozen=True)
class RecordOptions:
    """Limits and choices of one recording session."""

    duration_s: float | None = None
    """Stop after so many seconds."""
    max_bytes: int | None = None
    """Stop when the recording has this size on disk."""
    max_messages: int | None = None
    """Stop after exactly so many messages."""
    split_s: float | None = None
    """Begin a new segment after so many seconds."""
    split_bytes: int | None = None
    """Begin a new segment when one has this size on disk."""
    min_free_bytes: int = 256 * 1024**2
    """Stop cleanly when less than this is free on the disk."""
    buffer_bytes: int = 256 * 1024**2
    """Memory for messages that wait for the writer; beyond it they are counted and dropped."""
    strict: bool = False
    """Losing anything is an error at the end of the session."""
    codecs: Mapping[str, str] = field(default_factory=dict)
    """Topic pattern to codec id: `{"/depth/**": "lz4+lcm"}`; the first that matches counts."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionError: one of them makes no sense.
        """
        for name in ("duration_s", "max_bytes", "max_messages", "split_s", "split_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"{name} must be above 0, not {value}")
        for name in ("min_free_bytes", "buffer_bytes"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} must not be negative, not {getattr(self, name)}")


def parse_size(text: str, option: str) -> int:
    """Bytes of a size such as `500MB`, `2GiB` or `1048576`; decimal and binary units differ.

    Raises:
        OptionError: it is not a size above 0.
    """
    match = _SIZE.match(text)
    if not match or float(match[1]) <= 0:
        raise OptionError(f"{option}: {text!r} is not a size; write for example 500MB or 2GB")
    unit = match[2].lower().rstrip("b")
    power = " kmgt".index(unit[0]) if unit else 0
    return int(float(match[1]) * (1024 if unit.endswith("i") else 1000) ** power)


def parse_duration(text: str, option: str) -> float:
    """Seconds of a duration such as `90`, `90s`, `10m` or `1.5h`.

    Raises:
        OptionError: it is not a duration above 0.
    """
    match = _DURATION.match(text)
    if not match or float(match[1]) <= 0:
        raise OptionError(f"{option}: {text!r} is not a duration; write for example 90s or 10m")
    return float(match[1]) * _SECONDS[(match[2] or "s").lower()]


def parse_split(text: str, option: str) -> dict[str, float | int]:
    """The options for splitting by time (`10m`) or by size (`2GB`).

    Raises:
        OptionError: it is neither.
    """
    if _DURATION.match(text) and not text.strip().isdigit():
        return {"split_s": parse_duration(text, option)}
    if _SIZE.match(text) and not text.strip().isdigit():
        return {"split_bytes": parse_size(text, option)}
    raise OptionError(f"{option}: {text!r} is neither a duration nor a size; write 10m or 2GB")

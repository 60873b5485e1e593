"""What a recording session may be told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dimos_record.errors import OptionError

_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*((?:[kMGT]i?)?B?)\s*\Z", re.IGNORECASE)
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s|sec|m|min|h)?\s*\Z", re.IGNORECASE)
_LIMITS = (
    "duration_s",
    "max_bytes",
    "max_messages",
    "split_s",
    "split_bytes",
    "ring_s",
    "ring_bytes",
    "keep_last_s",
)
_KEEP_S = 120.0
_SEGMENT_S = 2.0, 600.0
_SEGMENT_BYTES = 4_000_000, 1_000_000_000
DURABILITY = ("normal", "full")
_MOST = 1e15
"""Of any unit: nobody means more, and more seconds than that are not counted in nanoseconds."""
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
    ring_s: float | None = None
    """Delete the oldest segments, so that at least so many seconds of recording are there."""
    ring_bytes: int | None = None
    """Delete the oldest segments beyond this size on disk."""
    keep_on: str | None = None
    """Topic of which a message keeps the past of a ring, by writing it into a recording of its own;
    patterns allowed."""
    keep_last_s: float | None = None
    """How many seconds it keeps, and how long it takes at least until a message does so again; 120,
    or as long as the ring is, if it is not given."""
    min_free_bytes: int = 256 * 1024**2
    """Stop cleanly when less than this is free on the disk."""
    buffer_bytes: int = 256 * 1024**2
    """Memory for messages that wait for the writer; beyond it they are counted and dropped."""
    durability: str = "normal"
    """When what is committed is flushed to the disk: `normal` is once a second, `full` with every
    commit; so what a power cut costs is about a second, or about 0.2 s."""
    strict: bool = False
    """Losing anything is an error at the end of the session."""
    codecs: Mapping[str, str] = field(default_factory=dict)
    """Topic pattern to codec id: `{"/depth/**": "lz4+lcm"}`; the first that matches counts."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionError: one of them makes no sense.
        """
        for name in _LIMITS:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"{name} must be above 0, not {value}")
        for name in ("min_free_bytes", "buffer_bytes"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.durability not in DURABILITY:
            raise OptionError(
                f"--durability (durability) is normal or full, not {self.durability!r}"
            )
        self._check_ring()

    def _check_ring(self) -> None:
        if self.is_ring and self.max_bytes is not None:
            raise OptionError(
                "--max-size (max_bytes) ends a recording and a ring has no end; give one of them"
            )
        if self.keep_on is not None and not self.is_ring:
            raise OptionError(
                "--keep-on (keep_on) keeps the past of a ring; give --ring (ring), too"
            )
        if self.keep_on is None and self.keep_last_s is not None:
            raise OptionError(
                "--keep-last (keep_last_s) says how much a message keeps; give its topic with "
                "--keep-on (keep_on), too"
            )
        if self.ring_s is not None and self.ring_s < self.kept_s:
            raise OptionError(
                f"--keep-last (keep_last_s: {self.kept_s:g} s) reaches further back than the ring "
                f"({self.ring_s:g} s); keep less, or make the ring longer"
            )
        if self.ring_bytes is not None and self.ring_bytes < 2 * (self.segment_bytes or 0):
            raise OptionError(
                f"a ring of {self.ring_bytes:,} bytes is too small: it needs room for two segments "
                f"of {self.segment_bytes:,} bytes"
            )
        if self.split_s is not None and self.ring_s is not None and self.split_s > self.ring_s:
            raise OptionError(
                f"--split (split_s: {self.split_s:g} s) is longer than the ring "
                f"({self.ring_s:g} s); split more often"
            )

    @property
    def is_ring(self) -> bool:
        """Whether the oldest segments are deleted while recording goes on."""
        return self.ring_s is not None or self.ring_bytes is not None

    @property
    def is_split(self) -> bool:
        """Whether what is recorded is a folder of segments."""
        return self.is_ring or self.split_s is not None or self.split_bytes is not None

    @property
    def kept_s(self) -> float:
        """How many seconds of the past a message keeps."""
        if self.keep_last_s is not None:
            return self.keep_last_s
        return _KEEP_S if self.ring_s is None else min(_KEEP_S, self.ring_s)

    @property
    def segment_s(self) -> float | None:
        """After how many seconds a new segment begins; of a ring by time about a twelfth."""
        if self.split_s is not None or self.ring_s is None:
            return self.split_s
        low, high = _SEGMENT_S
        return min(max(self.ring_s / 12, low), high, self.ring_s)

    @property
    def segment_bytes(self) -> int | None:
        """At which size on disk a new segment begins; of a ring by size about a sixteenth."""
        if self.split_bytes is not None or self.ring_bytes is None:
            return self.split_bytes
        low, high = _SEGMENT_BYTES
        return min(max(self.ring_bytes // 16, low), high)


def parse_size(text: str, option: str) -> int:
    """Bytes of a size such as `500MB`, `2GiB` or `1048576`; decimal and binary units differ.

    Raises:
        OptionError: it is not a size above 0.
    """
    match = _SIZE.match(text)
    if match and 0 < float(match[1]) < _MOST:
        unit = match[2].lower().rstrip("b")
        power = " kmgt".index(unit[0]) if unit else 0
        return int(float(match[1]) * (1024 if unit.endswith("i") else 1000) ** power)
    raise OptionError(f"{option}: {text!r} is not a size; write for example 500MB or 2GB")


def parse_duration(text: str, option: str) -> float:
    """Seconds of a duration such as `90`, `90s`, `10m` or `1.5h`.

    Raises:
        OptionError: it is not a duration above 0.
    """
    match = _DURATION.match(text)
    if not match or not 0 < float(match[1]) < _MOST:
        raise OptionError(f"{option}: {text!r} is not a duration; write for example 90s or 10m")
    return float(match[1]) * _SECONDS[(match[2] or "s").lower()]


def parse_ring(wanted: str | float | Sequence[str], option: str = "ring") -> dict[str, float | int]:
    """The options for a ring: a time (`30m`, or a number of seconds), a size (`20GB`), or both.

    Raises:
        OptionError: it is neither, or the same is said twice.
    """
    if isinstance(wanted, (int, float)):
        return {"ring_s": float(wanted)}
    chosen: dict[str, float | int] = {}
    for text in [wanted] if isinstance(wanted, str) else wanted:
        parsed = parse_split(text, option)
        found = {name.replace("split", "ring"): value for name, value in parsed.items()}
        if found.keys() & chosen.keys():
            raise OptionError(f"{option}: give one time, one size, or one of each")
        chosen |= found
    return chosen


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

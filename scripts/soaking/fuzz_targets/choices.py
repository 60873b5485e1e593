"""Decisions made from bytes, so that a fuzzer that changes bytes changes what is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

INTEGERS = (0, 1, -1, 2, 127, 255, 65_536, 2**31 - 1, 2**31, -(2**31), 2**53 + 1)
LARGE_INTEGERS = (10**18, 2**62, 2**63 - 1, -(2**63), -(10**18), 1_763_649_785_000_000_000)
NUMBERS = (0.0, -0.0, 0.5, -1.5, 1e-300, 1e18, 1e300, -1e300, float("inf"), -float("inf"))
TEXTS = (
    "",
    "odom",
    "/odom",
    "/odom#geometry_msgs.PoseStamped",
    "camera",
    "*",
    "null",
    "[]",
    "{}",
    "-1",
    "NaN",
    "1e999",
    "a\nb",
    "\x00",
    "\x1b[2J",
    "\ud7ff\U0001f600",
    "'; DROP TABLE _streams; --",
    "_blob",
    "odom_blob",
    "sqlite_master",
    "_dr_meta",
    "lz4+lcm",
    "pickle",
    "x" * 300,
    "[" * 2000,
)


class Choices:
    """Bytes, used up from the front; when there are none left every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that no choice has used."""
        return len(self._data) - self._at

    def raw(self, size: int) -> bytes:
        """At most so many bytes as they are."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.raw(self.left)

    def below(self, limit: int) -> int:
        """A number from 0 to less than `limit`; 0 where there is no such number."""
        if limit <= 1:
            return 0
        size = 1 if limit <= 256 else 2 if limit <= 65_536 else 8
        return int.from_bytes(self.raw(size), "big") % limit

    def pick(self, options: Sequence[T]) -> T:
        """One of several."""
        return options[self.below(len(options))]

    def yes(self) -> bool:
        """Yes or no."""
        return bool(self.below(2))

    def block(self) -> bytes:
        """Some bytes, their number first."""
        return self.raw(self.below(256))

    def text(self) -> str:
        """An odd text, or one that the bytes spell."""
        number = self.below(2 * len(TEXTS))
        return TEXTS[number] if number < len(TEXTS) else self.block().decode("utf-8", "replace")

    def integer(self) -> int:
        """An odd integer of 64 bits, or any."""
        number = self.below(2 * len(INTEGERS + LARGE_INTEGERS))
        if number < len(INTEGERS + LARGE_INTEGERS):
            return (INTEGERS + LARGE_INTEGERS)[number]
        return int.from_bytes(self.raw(8), "big", signed=True)

    def value(self) -> int | float | str | bytes | None:
        """Anything that a column of SQLite can hold."""
        kind = self.below(6)
        if kind == 0:
            return None
        if kind == 1:
            return self.integer()
        if kind == 2:
            return self.pick(NUMBERS)
        if kind == 3:
            return self.block()
        return self.text()

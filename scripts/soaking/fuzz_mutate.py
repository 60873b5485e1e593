"""Changes inputs at random, where there is no atheris to change them with an eye on coverage."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

_MOST_BYTES = 1 << 16
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_TEXTS = (b"\0", b"\n", b"/", b"#", b"*", b"-", b"1e999", b"nan", b"{", b"[", b"]", b"\xff\xfe")


class Mutator:
    """Makes inputs of those that it was given.

    Args:
        seeds: what to begin with.
        dice: what decides.
    """

    def __init__(self, seeds: Sequence[bytes], dice: random.Random) -> None:
        self._inputs = list(seeds) or [b""]
        self._dice = dice

    def next(self) -> bytes:
        """Another input."""
        dice = self._dice
        data = dice.choice(self._inputs)
        for _ in range(dice.choice((1, 1, 2, 3, 8))):
            data = dice.choice(_CHANGES)(data, dice, self._inputs)
        return data[:_MOST_BYTES]


def _place(data: bytes, dice: random.Random) -> int:
    return dice.randrange(len(data) + 1)


def _flip(data: bytes, dice: random.Random, others: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def _replace(data: bytes, dice: random.Random, others: Sequence[bytes]) -> bytes:
    at, size = _place(data, dice), dice.choice((1, 2, 4, 8))
    number = struct.pack(">Q", dice.choice(_NUMBERS))[-size:]
    ordered = number if dice.random() < 0.5 else number[::-1]
    piece = ordered if dice.random() < 0.7 else dice.randbytes(size)
    return data[:at] + piece + data[at + size :]


def _insert(data: bytes, dice: random.Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, dice)
    return data[:at] + dice.choice((*_TEXTS, dice.randbytes(dice.randrange(1, 9)))) + data[at:]


def _remove(data: bytes, dice: random.Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, dice)
    return data[:at] + data[at + dice.choice((1, 2, 4, 16, len(data))) :]


def _repeat(data: bytes, dice: random.Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, dice)
    piece = data[at : at + dice.choice((1, 4, 16, 200))]
    return data[:at] + piece * dice.choice((1, 2, 50)) + data[at:]


def _splice(data: bytes, dice: random.Random, others: Sequence[bytes]) -> bytes:
    other = dice.choice(others)
    return data[: _place(data, dice)] + other[_place(other, dice) :]


_CHANGES: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    _flip,
    _flip,
    _replace,
    _replace,
    _insert,
    _remove,
    _repeat,
    _splice,
)

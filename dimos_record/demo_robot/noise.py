"""Seeded noise that depends on nothing but the instant it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIX = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: spreads consecutive instants over a table."""


class Noise:
    """Tables of noise, read from a place that follows from the instant.

    Drawing fresh numbers for each message would cost more than the rest of the simulation, and
    would make a message depend on how many were asked for before it.
    """

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self._normal = draw.standard_normal(1 << 16, np.float32)
        self._grain = draw.integers(-2, 3, 1 << 20, np.int8).view(np.uint8)

    def normal(self, t_ns: int, count: int) -> NDArray[np.float32]:
        """`count` numbers of mean 0 and standard deviation 1."""
        return _part(self._normal, t_ns, count)

    def grain(self, t_ns: int, count: int) -> NDArray[np.uint8]:
        """`count` whole numbers from -2 to 2, to be added to bytes modulo 256."""
        return _part(self._grain, t_ns, count)


def _part(table: NDArray[Any], t_ns: int, count: int) -> NDArray[Any]:
    first = ((t_ns * MIX) >> 20) % (len(table) - count)
    return table[first : first + count]

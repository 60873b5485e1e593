"""Round numbers along an axis."""

from __future__ import annotations

import math
from itertools import pairwise


def ticks(low: float, high: float, at_most: int) -> list[float]:
    """Up to so many round numbers from `low` to `high`; that is `low` alone where both are one."""
    if not high > low:
        return [low]
    step = _round_up((high - low) / max(at_most, 1))
    first = math.ceil(low / step - 0.02)  # the first message is a little after 0
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)] or [low]


def label_of(value: float, among: list[float]) -> str:
    """A tick as text, with as many digits as tell it from its neighbours."""
    step = min((b - a for a, b in pairwise(among)), default=1.0)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{digits}f}"


def _round_up(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ..."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if step <= power * factor * (1 + 1e-9))

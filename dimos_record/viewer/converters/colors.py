"""Colours for numbers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

OPAQUE = 0xFF
"""The lowest byte of a colour as Rerun packs them: 0xRRGGBBAA."""


def by_value(values: Array) -> Array:
    """Colours from blue (low) over green to red (high), packed, shape (n,).

    The scale goes from the lowest value to the highest, but not further than two standard
    deviations from the mean: a few retroreflectors leave the others distinct.
    """
    scaled = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    if not len(scaled):
        return np.empty(0, np.uint32)
    mean, spread = float(scaled.mean()), 2 * float(scaled.std())
    low = max(float(scaled.min()), mean - spread)
    high = min(float(scaled.max()), mean + spread)
    scale = 255 / (high - low) if high > low else 0.0
    colors: Array = _turbo()[np.clip((scaled - low) * scale, 0, 255).astype(np.uint8)]
    return colors


@lru_cache(maxsize=1)
def _turbo() -> Array:
    """256 colours of the Turbo colormap, packed; its polynomials are those of A. Mikhailov, 2019.

    https://gist.github.com/mikhailov-work/0d177465a8151eb6ede1768d51d476c7
    """
    x = np.linspace(0, 1, 256)
    powers = np.stack([x**i for i in range(6)])
    red = [0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943]
    green = [0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604]
    blue = [0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973]
    channels = np.clip(np.array([red, green, blue]) @ powers, 0, 1) * 255
    r, g, b = channels.astype(np.uint32)
    packed: Array = r << 24 | g << 16 | b << 8 | OPAQUE
    return packed

"""Colours as half blocks: each character shows two pixels, one above the other."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

Colours = NDArray[np.uint8]
_CUBE = np.array([0, 95, 135, 175, 215, 255])
_GREYS = np.arange(8, 239, 10)
"""The levels of red, green and blue, and the greys, of a terminal with 256 colours."""


def half_blocks(pixels: Colours, *, few_colours: bool) -> list[Strip]:
    """Pixels as lines of `▀`.

    Args:
        pixels: shape (height, width, 3).
        few_colours: the terminal has 256, which are chosen here, since that is faster than for
            every character.
    """
    shown = _of_256(pixels) if few_colours else pixels & 0xF8 | pixels >> 5
    packed = shown.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    if len(packed) % 2:
        packed = np.concatenate([packed, np.full_like(packed[:1], -1)])
    return [_line(top, bottom) for top, bottom in zip(packed[::2], packed[1::2], strict=True)]


def coloured(lines: list[str], colours: Colours) -> list[Strip]:
    """Characters, each in its colour; ``colours`` is of shape (lines, characters, 3)."""
    packed = (colours & 0xF8 | colours >> 5).astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return [
        _strip([line[begin:end] for begin, end in runs], [(row[begin], -1) for begin, _ in runs])
        for line, row in zip(lines, packed, strict=True)
        for runs in [_runs(row)]
    ]


def _line(top: NDArray[Any], bottom: NDArray[Any]) -> Strip:
    runs = _runs(top << 24 | bottom & 0xFFFFFF) if bottom[0] >= 0 else _runs(top)
    texts = ["▀" * (end - begin) for begin, end in runs]
    return _strip(texts, [(top[begin], bottom[begin]) for begin, _ in runs])


def _strip(texts: list[str], colours: list[tuple[Any, Any]]) -> Strip:
    segments = [
        Segment(text, _style(int(fore), int(back)))
        for text, (fore, back) in zip(texts, colours, strict=True)
    ]
    return Strip(segments, sum(map(len, texts)))


def _runs(codes: NDArray[Any]) -> list[tuple[int, int]]:
    """Begin and end of each run of the same code."""
    changes = np.flatnonzero(np.diff(codes)) + 1
    edges = [0, *changes.tolist(), len(codes)]
    return list(pairwise(edges))


@lru_cache(maxsize=8192)
def _style(fore: int, back: int) -> Style:
    return Style(color=_colour(fore), bgcolor=_colour(back) if back >= 0 else None)


@lru_cache(maxsize=8192)
def _colour(packed: int) -> Color:
    return Color.from_rgb(packed >> 16, packed >> 8 & 0xFF, packed & 0xFF)


def _of_256(pixels: Colours) -> Colours:
    """The nearest colours that a terminal with 256 has."""
    cube = _CUBE[np.searchsorted((_CUBE[1:] + _CUBE[:-1]) / 2, pixels)]
    mean = pixels.mean(axis=-1)
    grey = _GREYS[np.searchsorted((_GREYS[1:] + _GREYS[:-1]) / 2, mean)][..., None]
    is_grey = _distance(grey, pixels) < _distance(cube, pixels)
    return np.where(is_grey[..., None], grey, cube).astype(np.uint8)


def _distance(colours: NDArray[Any], pixels: Colours) -> NDArray[Any]:
    return np.asarray(np.square(colours - pixels.astype(np.int64)).sum(axis=-1))

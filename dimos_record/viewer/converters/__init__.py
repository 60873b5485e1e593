"""What a message looks like in Rerun: from its wire bytes to Rerun's archetypes, type by type.

A converter knows one message and nothing else: neither its topic nor other messages. Where an
entity is placed in space is up to `dimos_record.viewer.frames`. Each module here converts types
that look alike, and lists them in its `CONVERTERS`. Importing this package does not import rerun.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dimos_record.viewer.converters import (
    cameras,
    clouds,
    curves,
    detections,
    grids,
    images,
    markers,
    places,
    poses,
    ranges,
    texts,
    transforms,
)
from dimos_record.viewer.converters.base import Convert, Converter, Kind, Shown
from dimos_record.viewer.converters.headers import frame_of, position_of

__all__ = [
    "CONVERTERS",
    "Convert",
    "Converter",
    "Kind",
    "Shown",
    "converter_for",
    "frame_of",
    "position_of",
]

_ALL: dict[str, Converter] = {
    **cameras.CONVERTERS,
    **clouds.CONVERTERS,
    **curves.CONVERTERS,
    **detections.CONVERTERS,
    **grids.CONVERTERS,
    **images.CONVERTERS,
    **markers.CONVERTERS,
    **places.CONVERTERS,
    **poses.CONVERTERS,
    **ranges.CONVERTERS,
    **texts.CONVERTERS,
    **transforms.CONVERTERS,
}


def _quietly(converter: Converter) -> Converter:
    """The same without NumPy's warnings: robots send infinities and numbers too large for Rerun."""
    convert = converter.convert

    def quietly(data: bytes) -> Sequence[Shown]:
        with np.errstate(all="ignore"):
            return convert(data)

    return converter._replace(convert=quietly)


CONVERTERS = {name: _quietly(converter) for name, converter in _ALL.items()}
"""Of all types that we can show, by the type's name."""


def converter_for(type_name: str) -> Converter | None:
    """How to show the messages of a type; None if we do not know."""
    return CONVERTERS.get(type_name)

"""What a message looks like in Rerun: from its wire bytes to Rerun's archetypes, type by type.

A converter knows one message and nothing else: neither its topic nor other messages. Where an
entity is placed in space is up to `dimos_record.viewer.frames`. Each module here converts types
that look alike, and lists them in its `CONVERTERS`. Importing this package does not import rerun.
"""

from __future__ import annotations

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

CONVERTERS: dict[str, Converter] = {
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
"""Of all types that we can show, by the type's name."""


def converter_for(type_name: str) -> Converter | None:
    """How to show the messages of a type; None if we do not know."""
    return CONVERTERS.get(type_name)

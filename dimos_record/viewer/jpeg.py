"""Pictures as JPEG, for viewers at the other end of a network."""

from __future__ import annotations

from typing import Any

_QUALITY = 85


def as_jpeg(archetype: Any) -> Any:
    """A picture as JPEG, if it is one of 8 bits, grey or in colour; else what it was."""
    import rerun as rr

    if not isinstance(archetype, rr.Image):
        return archetype
    pixels = archetype.image_format()
    models = (rr.ColorModel.L, rr.ColorModel.RGB, rr.ColorModel.BGR)
    if pixels.color_model not in models or pixels.channel_datatype != rr.ChannelDatatype.U8:
        return archetype
    return archetype.compress(_QUALITY)

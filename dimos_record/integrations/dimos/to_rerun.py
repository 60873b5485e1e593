"""Types of dimos that it shows in Rerun itself, for those that we have no converter for."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from dimos.msgs.helpers import resolve_msg_type

from dimos_record.errors import DecodeError
from dimos_record.viewer.converters import Converter, Kind, Shown

_KINDS: dict[str, Kind] = {"foxglove_msgs.CompressedVideo": "image"}
"""What is not shown in the 3D scene."""


def dimos_converter_for(type_name: str) -> Converter | None:
    """A converter that asks dimos's class of the type (`to_rerun`); None where it has none."""
    cls = resolve_msg_type(type_name)
    if cls is None or not callable(getattr(cls, "to_rerun", None)):
        return None

    def convert(data: bytes) -> list[Shown]:
        return list(_shown(type_name, _converted(type_name, cls, data)))

    return Converter(convert, _KINDS.get(type_name, "3d"))


def _converted(type_name: str, cls: Any, data: bytes) -> Any:
    try:
        return cls.lcm_decode(data).to_rerun()
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        ImportError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:  # whatever a message that is not as expected makes of dimos's code
        raise DecodeError(f"dimos cannot show this {type_name}: {error}.") from error


def _shown(type_name: str, made: Any) -> Iterator[Shown]:
    """What dimos's bridge would log: an archetype, or a list of paths with one each."""
    from rerun import AsComponents

    if isinstance(made, AsComponents):
        yield Shown("", made)
        return
    if not isinstance(made, list):
        raise DecodeError(f"dimos makes nothing of a {type_name} that Rerun can show.")
    for path, archetype, *static in made:
        yield Shown(f"/{path.lstrip('/')}", archetype, bool(static and static[0]))

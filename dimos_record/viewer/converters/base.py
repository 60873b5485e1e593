"""What converters give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["3d", "image", "plot", "map", "text", "transforms", "detections2d"]
"""Where a type is shown: in the 3D scene, as a camera's picture, as curves, on a map of the world
(geographic), in the text log, as the frames of the scene, or as boxes on a camera's picture."""


class Shown(NamedTuple):
    """One thing to log."""

    path: str
    """Below the topic's entity; `""` is that entity. With a `/` in front it is a path of its own,
    the same whatever the topic."""
    archetype: Any
    static: bool = False
    names: tuple[str, ...] = ()
    """Of the curves, if the archetype is a Scalars with several: log them once per path, static,
    as `rr.SeriesLines(names=...)`, and again when they change."""
    frame: str | None = None
    """The frame that it is in, where that differs from the frame of the message."""
    parent: str | None = None
    """The frame that ``frame`` is in by this, if it is a transform."""
    camera: str | None = None
    """The frame of the pictures that this tells the camera of, if it is a Pinhole."""
    lifetime_ns: int = 0
    """How long it stays if nothing comes in its place (markers); 0: until then."""


Convert = Callable[[bytes], Sequence[Shown]]
"""What to log for the wire bytes of a message.

It raises DecodeError if the bytes are truncated, of another type, or hold what cannot be shown.
"""


class Converter(NamedTuple):
    """How to show the messages of one type."""

    convert: Convert
    kind: Kind
    curves: tuple[str, ...] = ()
    """Paths, below the topic's entity, under which its curves are; () if it has none. A type of
    another kind may have some: the speeds of an Odometry."""

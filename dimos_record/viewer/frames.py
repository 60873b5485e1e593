"""Frames: every message stands where the transforms of the recording put its frame.

Rerun has named frames, as tf has: a `Transform3D` says where a child frame is in its parent, and a
`CoordinateFrame` on an entity says which frame its data are in. What is missing there is what this
adds: a frame that no transform mentions would hide all that is in it, so it is put on the root.
"""

from __future__ import annotations

from collections.abc import Sequence

from dimos_record.viewer.converters.base import Shown
from dimos_record.viewer.converters.cameras import is_image_plane
from dimos_record.viewer.converters.transforms import frame_entity

ROOT = "tf#/"
"""Rerun's own frame of the entity `/`. Views whose origin is `/` show it, and all frames in it."""
AXIS_M = 0.12
"""Length of the axes of a frame."""


class Frames:
    """The frames of one Rerun recording that were seen so far.

    Each frame has an entity `/frames/NAME` (`transforms.frame_entity`). A view that includes
    `/frames/**` shows their axes, and the cameras that stand in them.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def before(self, frame: str | None, shown: Sequence[Shown]) -> list[Shown]:
        """What to log before a message, so that every frame that it names is somewhere.

        A frame that is seen for the first time gets its axes, and is put on the root until a
        transform says where it is: a transform that comes later, whether static or not, replaces
        that.

        Args:
            frame: the frame in the message's header, if it has one.
            shown: what the message is converted to.

        Returns:
            Things to log as static.
        """
        names = [frame, *(one.frame for one in shown), *(one.parent for one in shown)]
        new = dict.fromkeys(name for name in names if name and self._is_new(name))
        self._seen.update(new)
        return [placed for name in new for placed in _on_root(name)]

    def _is_new(self, frame: str) -> bool:
        # A picture without a camera is nowhere in space, and its plane has no two parents.
        return frame not in self._seen and not is_image_plane(frame)


def _on_root(frame: str) -> list[Shown]:
    import rerun as rr

    entity = frame_entity(frame)
    return [
        Shown(entity, rr.Transform3D(parent_frame=ROOT, child_frame=frame), static=True),
        Shown(entity, rr.CoordinateFrame(frame), static=True),
        Shown(entity, rr.TransformAxes3D(AXIS_M), static=True),
    ]

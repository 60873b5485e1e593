"""Which pictures stand in the 3D world: those of cameras that a CameraInfo has told about."""

from __future__ import annotations

from collections.abc import Sequence

from dimos_record.viewer.converters import Shown
from dimos_record.viewer.converters.cameras import is_image_plane


class Cameras:
    """The cameras and pictures of one Rerun recording that were seen so far.

    A picture whose camera is not known is nowhere in space: the 3D view would report an error.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._plane_of: dict[str, str] = {}

    def before(self, entity: str, shown: Sequence[Shown]) -> list[Shown]:
        """What to log before a message, so that pictures are in view of their camera at any time.

        The first CameraInfo of a camera holds for the time before it, too, until others come; and
        so does the frame of a topic's first picture.

        Args:
            entity: that of the topic.
            shown: what the message is converted to.

        Returns:
            Things to log as static.
        """
        import rerun as rr

        first = [one for one in shown if one.camera is not None and one.camera not in self._known]
        self._known.update(one.camera for one in first if one.camera is not None)
        before = [one._replace(static=True) for one in first]
        for one in shown:
            if one.frame is not None and is_image_plane(one.frame):
                if entity not in self._plane_of:
                    before.append(Shown(f"/{entity}", rr.CoordinateFrame(one.frame), static=True))
                self._plane_of[entity] = one.frame
        return before

    def has_camera(self, entity: str) -> bool:
        """Whether it is known where the camera of a topic of pictures stands."""
        return self._plane_of.get(entity) in self._known

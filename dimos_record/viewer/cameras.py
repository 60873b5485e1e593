"""Which pictures stand in the 3D world: those of cameras that a CameraInfo has told about."""

from __future__ import annotations

from collections.abc import Iterable

from dimos_record.viewer.converters import Shown
from dimos_record.viewer.converters.cameras import is_image_plane
from dimos_record.viewer.times import Moment


class Cameras:
    """The cameras and pictures of one Rerun recording that were seen so far.

    A picture whose camera is not known is nowhere in space: the 3D view would report an error.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._waiting: dict[str, Moment] = {}
        self._plane_of: dict[str, str] = {}

    def note(self, entity: str, shown: Iterable[Shown], at: Moment) -> Moment | None:
        """See what a message of a topic shows.

        Args:
            entity: that of the topic.
            shown: what the message is converted to.
            at: when it came.

        Returns:
            If this is the first CameraInfo of a camera whose pictures came before: when the first
            of them came. Log it there as well, since they stood nowhere until now.
        """
        first = None
        for one in shown:
            if one.camera is not None and one.camera not in self._known:
                self._known.add(one.camera)
                first = self._waiting.pop(one.camera, None)
            if one.frame is not None and is_image_plane(one.frame):
                self._plane_of[entity] = one.frame
                if one.frame not in self._known:
                    self._waiting.setdefault(one.frame, at)
        return first

    def has_camera(self, entity: str) -> bool:
        """Whether it is known where the camera of a topic of pictures stands."""
        return self._plane_of.get(entity) in self._known

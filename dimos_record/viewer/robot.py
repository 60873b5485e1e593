"""Where the robot is, so that the views can follow it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dimos_record.messages import pose_of
from dimos_record.viewer.converters import Shown
from dimos_record.viewer.entities import ROBOT

_BASES = ("base_link", "base_footprint", "base", "body", "trunk", "pelvis", "torso")
"""What the frame of a robot is called, the likeliest first; a namespace may stand before it."""

_LENGTH_M = 0.7
_RADIUS_M = 0.06
_COLOR = (255, 190, 0)


class Robot:
    """Finds the robot: by the name of its frame in the transforms, else by a pose that moves.

    It is a point on the entity `robot`, and an arrow below it that points where the robot points.
    The views follow the point: of anything larger Rerun takes the size for the distance of the eye.
    """

    def __init__(self) -> None:
        self._base: str | None = None
        self._posed: str | None = None

    @property
    def known(self) -> bool:
        """Whether it is known where the robot is."""
        return self._base is not None or self._posed is not None

    def by_frames(self, shown: Iterable[Shown]) -> list[Shown]:
        """What to log, as static, when transforms name a likelier frame of the robot."""
        for one in shown:
            if one.parent is not None and one.frame and _rank(one.frame) < _rank(self._base):
                self._base = one.frame
                return _drawn(one.frame, static=True)
        return []

    def by_pose(self, topic: str, type_name: str, data: bytes, frame: str | None) -> list[Shown]:
        """What to log for a pose; nothing once transforms tell, or of a second topic."""
        if self._base is not None or self._posed not in (None, topic):
            return []
        pose = pose_of(type_name, data)
        if pose is None:
            return []
        self._posed = topic
        return _drawn(frame, pose)


def _rank(frame: str | None) -> int:
    name = (frame or "").rpartition("/")[2]
    return _BASES.index(name) if name in _BASES else len(_BASES)


def _drawn(
    frame: str | None, pose: Sequence[float] = (0, 0, 0, 0, 0, 0, 1), *, static: bool = False
) -> list[Shown]:
    import rerun as rr

    x, y, z, qx, qy, qz, qw = pose
    ahead = (1 - 2 * (qy * qy + qz * qz), 2 * (qx * qy + qz * qw), 2 * (qx * qz - qy * qw))
    point = rr.Points3D([(x, y, z)], radii=_RADIUS_M, colors=_COLOR)
    arrow = rr.Arrows3D(
        origins=[(x, y, z)],
        vectors=[tuple(_LENGTH_M * part for part in ahead)],
        colors=_COLOR,
        radii=_RADIUS_M,
    )
    return [
        Shown(f"/{ROBOT}", point, static=static, frame=frame),
        Shown(f"/{ROBOT}/arrow", arrow, static=static, frame=frame),
    ]

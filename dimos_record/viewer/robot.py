"""Where the robot is, so that the views can follow it."""

from __future__ import annotations

from collections.abc import Iterable

from dimos_record.messages import pose_of
from dimos_record.viewer.converters import Shown
from dimos_record.viewer.converters.transforms import frame_entity
from dimos_record.viewer.entities import ROBOT
from dimos_record.viewer.frames import ROOT
from dimos_record.viewer.presets import PRESETS, followed_entity

_BASES = ("base_link", "base_footprint", "base", "body", "trunk", "pelvis", "torso")
"""What the frame of a robot is called, the likeliest first; a namespace may stand before it."""

_LENGTH_M = 0.7
_RADIUS_M = 0.06
_COLOR = (255, 190, 0)


class Robot:
    """Finds the robot: by the name of its frame in the transforms, else by a pose that moves.

    It is an arrow that points where the robot points, and for each preset something invisible that
    its view follows: Rerun takes the size of what it follows for the distance of the eye.
    """

    def __init__(self) -> None:
        self._base: str | None = None
        self._posed: str | None = None

    @property
    def known(self) -> bool:
        """Whether it is known where the robot is."""
        return self._base is not None or self._posed is not None

    def by_frames(self, shown: Iterable[Shown]) -> list[Shown]:
        """What to log when transforms name a likelier frame of the robot than before."""
        for one in shown:
            if one.parent is not None and one.frame and _rank(one.frame) < _rank(self._base):
                self._base = one.frame
                return _drawn(one.frame)
        return []

    def by_pose(self, topic: str, type_name: str, data: bytes, frame: str | None) -> list[Shown]:
        """What to log for a pose; nothing once transforms tell, or of a second topic."""
        if self._base is not None or self._posed not in (None, topic):
            return []
        pose = pose_of(type_name, data)
        if pose is None:
            return []
        import rerun as rr

        own, parent = f"robot of {topic}", frame or ROOT
        moved = rr.Transform3D(
            translation=pose[:3],
            quaternion=rr.Quaternion(xyzw=pose[3:]),
            parent_frame=parent,
            child_frame=own,
        )
        drawn = [] if self._posed else _drawn(own)
        self._posed = topic
        return [Shown(frame_entity(own), moved, frame=own, parent=parent), *drawn]


def _rank(frame: str | None) -> int:
    name = (frame or "").rpartition("/")[2]
    return _BASES.index(name) if name in _BASES else len(_BASES)


def _drawn(frame: str) -> list[Shown]:
    import rerun as rr

    arrow = rr.Arrows3D(vectors=[(_LENGTH_M, 0, 0)], colors=_COLOR, radii=_RADIUS_M)
    followed = {
        preset: rr.Points3D([(0, 0, -eye.radius_m), (0, 0, eye.radius_m)], radii=0)
        for preset, eye in PRESETS.items()
    }
    return [
        Shown(f"/{ROBOT}", arrow, static=True, frame=frame),
        *(
            Shown(f"/{followed_entity(preset)}", points, static=True, frame=frame)
            for preset, points in followed.items()
        ),
    ]

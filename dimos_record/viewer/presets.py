"""From where the 3D view looks at the robot."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from dimos_record.errors import OptionError
from dimos_record.viewer.entities import ROBOT

_SEEN_PER_RADIUS = 3.2
"""How much Rerun shows around what it follows, per radius of that (0.32 and 0.41)."""


class Eye(NamedTuple):
    """A direction to look from, and how much is seen."""

    direction: tuple[float, float, float]
    """From what is looked at to the eye; of any length."""
    seen_m: float
    """From the lower to the upper edge, through what is looked at."""
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)

    @property
    def radius_m(self) -> float:
        """That of a thing which Rerun follows from the right distance."""
        return self.seen_m / _SEEN_PER_RADIUS


PRESETS = {
    "follow": Eye((-1.0, -0.7, 1.0), 10.0),
    "top": Eye((0.0, 0.0, 1.0), 20.0, up=(0.0, 1.0, 0.0)),
    "side": Eye((0.0, -1.0, 0.2), 10.0),
    "front": Eye((1.0, 0.0, 0.2), 10.0),
}


def check_preset(name: str) -> str:
    """The name of a preset.

    Raises:
        OptionError: it is none.
    """
    if name not in PRESETS:
        raise OptionError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return name


def followed_entity(preset: str) -> str:
    """What the eye of a preset follows: a thing around the robot, of the right size."""
    return f"{ROBOT}/{preset}"


def eye_controls(preset: str, *, robot: bool) -> Any:
    """Rerun's eye controls for a preset; they follow the robot where there is one."""
    import rerun.blueprint as rrb

    eye = PRESETS[preset]
    scale = eye.seen_m / math.hypot(*eye.direction)
    return rrb.EyeControls3D(
        kind=rrb.Eye3DKind.Orbital,
        position=tuple(scale * part for part in eye.direction),
        look_target=(0.0, 0.0, 0.0),
        eye_up=eye.up,
        tracking_entity=followed_entity(preset) if robot else None,
    )

"""From where the 3D view looks at the robot."""

from __future__ import annotations

from typing import Any, NamedTuple

from dimos_record.errors import OptionError
from dimos_record.viewer.entities import ROBOT


class Eye(NamedTuple):
    """A place to look from, as seen from what is looked at (m)."""

    x: float
    y: float
    z: float
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)


PRESETS = {
    "follow": Eye(-3.5, -2.5, 3.5),
    "top": Eye(0.0, 0.0, 16.0, up=(0.0, 1.0, 0.0)),
    "side": Eye(0.0, -11.0, 2.0),
    "front": Eye(11.0, 0.0, 2.0),
}


def check_preset(name: str) -> str:
    """The name of a preset.

    Raises:
        OptionError: it is none.
    """
    if name not in PRESETS:
        raise OptionError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return name


def eye_controls(preset: str, *, robot: bool) -> Any:
    """Rerun's eye controls for a preset; they follow the robot where there is one."""
    import rerun.blueprint as rrb

    eye = PRESETS[preset]
    return rrb.EyeControls3D(
        kind=rrb.Eye3DKind.Orbital,
        position=(eye.x, eye.y, eye.z),
        look_target=(0.0, 0.0, 0.0),
        eye_up=eye.up,
        tracking_entity=ROBOT if robot else None,
    )

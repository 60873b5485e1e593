"""How dimos's Rerun viewer shows the demo robot. Rerun is imported only where a viewer runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dimos.msgs.nav_msgs.OccupancyGrid import OccupancyGrid
from dimos.msgs.sensor_msgs.CameraInfo import CameraInfo

from dimos_record.demo_robot.robot import RADIUS_M

if TYPE_CHECKING:
    from types import ModuleType

BODY_HEIGHT_M = 0.4


def _layout() -> Any:
    """The camera's picture beside the room."""
    import rerun.blueprint as rrb  # type: ignore[import-not-found, unused-ignore]

    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial2DView(origin="world/color_image", name="Camera"),
            rrb.Spatial3DView(origin="world", name="Room"),
            column_shares=[1, 2],
        )
    )


def _costmap(grid: OccupancyGrid) -> Any:
    return grid.to_rerun(colormap="Accent", opacity=0.4, background="#484981")


def _camera(info: CameraInfo) -> Any:
    return info.to_rerun(image_topic="/world/color_image", optical_frame=info.frame_id)


def _body(rr: ModuleType) -> list[Any]:
    half = (RADIUS_M, RADIUS_M, BODY_HEIGHT_M / 2)
    return [
        rr.Boxes3D(half_sizes=[half], centers=[(0, 0, BODY_HEIGHT_M / 2)], colors=[(255, 170, 0)]),
        rr.Transform3D(parent_frame="tf#/base_link"),
    ]


VIEW: dict[str, Any] = {
    "blueprint": _layout,
    "visual_override": {"world/costmap": _costmap, "world/camera_info": _camera},
    "static": {"world/robot": _body},
    "tf_axes": 0.3,
}
"""Options of dimos's `RerunBridgeModule`."""

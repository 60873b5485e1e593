"""A spinning 3D lidar: rings of rays against walls, boxes, floor and ceiling."""

from __future__ import annotations

import numpy as np

from dimos_record.demo_robot.noise import Noise
from dimos_record.demo_robot.robot import RobotState
from dimos_record.demo_robot.world import Floats, Hits, World

HEIGHT_M = 1.0
"""Of the sensor above the floor; it sits on the robot's axis, looking forwards."""


class Lidar:
    """Measures the room from a state of the robot.

    Args:
        world: what it sees.
        noise: error of the measured range; None for none.
        rings: number of rays above one another, evenly from -25° to +15°.
        azimuths: number of rays around.
    """

    def __init__(
        self, world: World, noise: Noise | None = None, rings: int = 16, azimuths: int = 600
    ) -> None:
        self.world = world
        self.noise = noise
        self.elevation = np.radians(np.linspace(-25.0, 15.0, rings))
        """Angle of each ring above the horizon (rad)."""
        self.azimuth = 2.0 * np.pi * np.arange(azimuths) / azimuths
        """Angle of each ray, counter-clockwise from straight ahead (rad)."""

    def scan(self, state: RobotState) -> Floats:
        """One turn, measured at one instant.

        Returns:
            float32 of shape (rings * azimuths, 4), ring by ring: x, y, z in the lidar's frame (m)
            and intensity (0 to 255).
        """
        heading = self.azimuth + state.yaw
        directions = np.stack([np.cos(heading), np.sin(heading)])
        hits = self.world.cast((state.x, state.y), directions)
        flat_m, intensity = self._nearest(hits, directions)
        if self.noise is not None:
            error_m = self.noise.normal(state.t_ns, flat_m.size).reshape(flat_m.shape)
            flat_m = flat_m + 0.01 * error_m * np.cos(self.elevation)[:, None]
        points = np.empty((*flat_m.shape, 4), np.float32)
        points[..., 0] = flat_m * np.cos(self.azimuth)
        points[..., 1] = flat_m * np.sin(self.azimuth)
        points[..., 2] = flat_m * np.tan(self.elevation)[:, None]
        points[..., 3] = intensity
        return points.reshape(-1, 4)

    def _nearest(self, hits: Hits, directions: Floats) -> tuple[Floats, Floats]:
        """Horizontal range (m) and intensity of the first surface; shape (rings, azimuths)."""
        slope = np.tan(self.elevation)[:, None]
        with np.errstate(divide="ignore"):
            level = np.where(slope < 0.0, -HEIGHT_M, self.world.height_m - HEIGHT_M) / slope
        flat_m = np.broadcast_to(np.abs(level), (len(slope), directions.shape[1])).copy()
        # Floor and ceiling return less light the flatter the ray meets them.
        intensity = 200.0 * np.abs(np.sin(self.elevation))[:, None] + np.zeros_like(flat_m)
        # From the farthest layer to the nearest, so that the nearest has the last word.
        for distance, face, entering in zip(
            hits.distance[::-1], hits.face[::-1], hits.entering[::-1], strict=True
        ):
            bottom, top = self.world.bottom_m[face], self.world.top_m[face]
            with np.errstate(divide="ignore", invalid="ignore"):  # level rays, missing crossings
                z = HEIGHT_M + distance * slope
                # A ray that leaves a solid through its side came in through its top or underside.
                lid = (np.where(slope < 0.0, top, bottom) - HEIGHT_M) / slope
            met = (z >= bottom) & (z <= top)
            facing = np.abs((directions * self.world.normal[face].T).sum(axis=0))
            light = 255.0 * self.world.reflectivity[face] * (0.3 + 0.7 * facing)
            flat_m = np.where(met, np.where(entering, distance, lid), flat_m)
            intensity = np.where(met, light, intensity)
        return flat_m, intensity

"""A dimos module that draws a map of the room from lidar scans and odometry."""

import math
import threading
from collections import deque

from dimos.core.core import rpc
from dimos.core.module import Module, ModuleConfig
from dimos.core.stream import In, Out
from dimos.msgs.geometry_msgs.Pose import Pose
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.nav_msgs.OccupancyGrid import OccupancyGrid
from dimos.msgs.sensor_msgs.PointCloud2 import PointCloud2
from pydantic import Field
from reactivex.disposable import Disposable

from dimos_record.demo_robot.lidar import HEIGHT_M
from dimos_record.demo_robot.mapping import ScanMap

MAX_WAITING = 20
"""Poses and scans that are kept until their counterpart arrives."""


class DemoMapperConfig(ModuleConfig):
    """Which part of the world is mapped, and how finely."""

    origin_m: tuple[float, float] = (-0.5, -0.5)
    size_m: tuple[float, float] = (13.0, 9.0)
    resolution_m: float = Field(0.05, ge=0.02, le=1.0)
    costmap_hz: float = Field(2.0, gt=0, le=10)


class DemoMapper(Module):
    """Publishes a map of what is free and what is in the way.

    It goes by the stamps of its inputs alone, so that the same inputs give the same maps,
    whatever the order in which odometry and scans arrive.
    """

    config: DemoMapperConfig

    odom: In[PoseStamped]
    lidar: In[PointCloud2]
    costmap: Out[OccupancyGrid]

    @rpc
    def start(self) -> None:
        """Start to map."""
        super().start()
        config = self.config
        self._lock = threading.Lock()
        self._map = ScanMap(config.origin_m, config.size_m, config.resolution_m)
        self._poses: deque[PoseStamped] = deque(maxlen=MAX_WAITING)
        self._scans: deque[PointCloud2] = deque(maxlen=MAX_WAITING)
        self._published_at = -math.inf
        self.register_disposable(Disposable(self.odom.subscribe(self._on_odom)))
        self.register_disposable(Disposable(self.lidar.subscribe(self._on_scan)))

    @rpc
    def mapped_m2(self) -> float:
        """Area of the floor that is known to be free (m²)."""
        with self._lock:
            plan = self._map.floor_plan()
        return float((plan.cells == 0).sum()) * plan.resolution_m**2

    def _on_odom(self, pose: PoseStamped) -> None:
        with self._lock:
            if self._poses and pose.ts < self._poses[-1].ts:  # a replay jumped back
                self._poses.clear()
                self._scans.clear()
            self._poses.append(pose)
            self._match()

    def _on_scan(self, scan: PointCloud2) -> None:
        with self._lock:
            self._scans.append(scan)
            self._match()

    def _match(self) -> None:
        """Take in the scans whose pose is known by now."""
        while self._scans and self._poses and self._poses[-1].ts >= self._scans[0].ts:
            scan = self._scans.popleft()
            self._add(scan, min(self._poses, key=lambda pose: abs(pose.ts - scan.ts)))

    def _add(self, scan: PointCloud2, pose: PoseStamped) -> None:
        points, _ = scan.as_numpy()
        self._map.add(points, HEIGHT_M, pose.x, pose.y, pose.yaw)
        if abs(scan.ts - self._published_at) * self.config.costmap_hz > 0.99:
            self._published_at = scan.ts
            self.costmap.publish(self._costmap(scan.ts, pose.frame_id))

    def _costmap(self, ts: float, frame_id: str) -> OccupancyGrid:
        plan = self._map.floor_plan()
        return OccupancyGrid(
            grid=plan.cells,
            resolution=plan.resolution_m,
            origin=Pose(*plan.origin, 0.0),
            frame_id=frame_id,
            ts=ts,
        )

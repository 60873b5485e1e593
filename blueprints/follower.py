"""A dimos module that drives the demo robot on its round, as long as the map shows the way free."""

import asyncio
import math
import threading
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import numpy as np
from dimos.core.core import rpc
from dimos.core.module import Module, ModuleConfig
from dimos.core.stream import In, Out
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Twist import Twist
from dimos.msgs.geometry_msgs.Vector3 import Vector3
from dimos.msgs.nav_msgs.OccupancyGrid import OccupancyGrid
from numpy.typing import NDArray
from pydantic import Field
from reactivex.disposable import Disposable

from dimos_record.blueprints.battery import BatterySpec
from dimos_record.blueprints.mapper import DemoMapper
from dimos_record.demo_robot.robot import Autopilot, Command
from dimos_record.demo_robot.room import WAYPOINTS

COMMAND_PERIOD_S = 0.035
"""Poses that come sooner after the last one are left out: 25 commands per second at 50 poses."""
JUMP_M = 0.5
"""A robot that has moved so far between two poses was moved, as by a seek in a replay."""
LOOK_AHEAD_POINTS = 16
MAX_MAP_AGE_S = 3.0
OCCUPIED = 50
"""The costmap's value from which a cell is in the way."""
LOW_BATTERY = 0.2
SAVING = 0.5
"""Share of the speed that is left when the battery is low."""


class DemoFollowerConfig(ModuleConfig):
    """How the robot is driven."""

    keep_clear_m: float = Field(0.25, gt=0, le=1.0)
    """It stops if something is so near to its path ahead."""
    check_up_s: float = Field(2.0, gt=0)
    """How often it asks for the battery and the map."""


class FollowerStatus(NamedTuple):
    """How the round goes. None stands for what is not known."""

    rounds: int
    is_waiting: bool
    """Whether it stands because the way is not known to be free."""
    battery_level: float | None
    """0 to 1"""
    minutes_left: float | None
    mapped_m2: float | None


class DemoFollower(Module):
    """Follows a closed path through the rooms; waits while the costmap shows an obstacle on it,
    and while there is no recent costmap."""

    config: DemoFollowerConfig

    costmap: In[OccupancyGrid]
    odom: In[PoseStamped]
    cmd_vel: Out[Twist]

    battery: BatterySpec
    mapper: DemoMapper

    @rpc
    def start(self) -> None:
        """Start to drive."""
        self._autopilot = Autopilot(WAYPOINTS)
        self._costmap: OccupancyGrid | None = None
        self._pose: PoseStamped | None = None
        self._command = Command()
        self._status = FollowerStatus(0, True, None, None, None)
        self._lock = threading.Lock()
        super().start()
        self.register_disposable(Disposable(self.costmap.subscribe(self._on_costmap)))
        self.register_disposable(Disposable(self.odom.subscribe(self._on_odom)))

    async def main(self) -> AsyncGenerator[None, None]:
        """Look after battery and map while the module runs."""
        check_ups = asyncio.create_task(self._check_up_now_and_then())
        yield
        check_ups.cancel()

    @rpc
    def status(self) -> FollowerStatus:
        """How the round goes."""
        return self._status

    async def _check_up_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.config.check_up_s)
            level = await asyncio.to_thread(self.battery.battery_level)
            minutes = await self.battery.minutes_left()
            mapped_m2 = await asyncio.to_thread(self.mapper.mapped_m2)
            self._update(battery_level=level, minutes_left=minutes, mapped_m2=mapped_m2)

    def _update(self, **changes: Any) -> None:
        with self._lock:
            self._status = self._status._replace(**changes)

    def _on_costmap(self, costmap: OccupancyGrid) -> None:
        self._costmap = costmap

    def _on_odom(self, pose: PoseStamped) -> None:
        last = self._pose
        if last is not None and 0.0 <= pose.ts - last.ts < COMMAND_PERIOD_S:
            return
        if last is None or math.hypot(pose.x - last.x, pose.y - last.y) > JUMP_M:
            self._autopilot.join(pose.x, pose.y)
        self._pose = pose
        wanted = self._autopilot.decide(pose.x, pose.y, pose.yaw, self._command)
        is_free = self._is_free_ahead(pose)
        self._command = wanted if is_free else Command()
        self._update(rounds=self._autopilot.rounds, is_waiting=not is_free)
        self.cmd_vel.publish(self._twist())

    def _twist(self) -> Twist:
        level = self._status.battery_level
        share = SAVING if level is not None and level < LOW_BATTERY else 1.0
        linear, angular = share * self._command.linear, share * self._command.angular
        return Twist(Vector3(linear, 0.0, 0.0), Vector3(0.0, 0.0, angular))

    def _is_free_ahead(self, pose: PoseStamped) -> bool:
        """Whether a recent costmap shows nothing in the way along the next bit of the path."""
        costmap = self._costmap
        if costmap is None or abs(pose.ts - costmap.ts) > MAX_MAP_AGE_S:
            return False
        origin = costmap.origin.position
        points = self._autopilot.ahead(LOOK_AHEAD_POINTS) - (origin.x, origin.y)
        cells = np.floor(points / costmap.resolution).astype(int)
        reach = math.ceil(self.config.keep_clear_m / costmap.resolution)
        return not any(
            (_around(costmap, column, row, reach) >= OCCUPIED).any() for column, row in cells
        )


def _around(costmap: OccupancyGrid, column: int, row: int, reach: int) -> NDArray[np.int8]:
    """The cells around one, as far as the map goes."""
    cells: NDArray[np.int8] = costmap.grid[
        max(0, row - reach) : max(0, row + reach + 1),
        max(0, column - reach) : max(0, column + reach + 1),
    ]
    return cells

"""The demo robot itself: a differential drive that follows a path or obeys velocity commands.

Pure simulation with a clock of its own, in nanoseconds since the robot was switched on. The same
sequence of commands gives the same states, however the caller slices time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dimos_record.demo_robot.room import WAYPOINTS, demo_world
from dimos_record.demo_robot.world import Floats, Point
from dimos_record.errors import OptionError

TICK_NS = 5_000_000
CONTROL_TICKS = 10
"""The autopilot decides every 10 ticks: 20 times a second."""
RADIUS_M = 0.28
WHEEL_RADIUS_M = 0.1
WHEEL_SEPARATION_M = 0.4
MAX_ACCELERATION = 0.8
"""m/s², along the direction of travel."""
MAX_ANGULAR_ACCELERATION = 3.0
"""rad/s²"""


class Command(NamedTuple):
    """What the robot is told to do, as in `geometry_msgs.Twist`."""

    linear: float = 0.0
    """m/s, forwards."""
    angular: float = 0.0
    """rad/s, counter-clockwise."""


class RobotState(NamedTuple):
    """Everything that the sensors can measure, at one instant."""

    t_ns: int
    """Since the robot was switched on."""
    x: float
    y: float
    yaw: float
    """Pose of base_link in the map frame: m, m, rad (not wrapped)."""
    linear: float
    """m/s, forwards."""
    angular: float
    """rad/s"""
    acceleration: float
    """m/s², forwards."""
    left_wheel: float
    right_wheel: float
    """How far each wheel has turned (rad)."""
    command: Command
    """What the robot is being told at this instant."""


class DemoRobot:
    """A robot in the demo room that drives its round, or obeys `drive`.

    Args:
        seed: seed of the sensors' noise; the motion itself is free of noise.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.world = demo_world()
        self._autopilot: Autopilot | None = Autopilot(WAYPOINTS)
        (x, y), yaw = self._autopilot.start
        command = Command()
        self._tick = RobotState(0, x, y, yaw, 0.0, 0.0, 0.0, 0.0, 0.0, command)
        self._tick = self._commanded(self._tick)
        self.state = self._tick

    def drive(self, command: Command) -> None:
        """Switch the autopilot off and obey this command from now on."""
        self._autopilot = None
        self._tick = self.state = self.state._replace(command=command)

    def step(self, dt_s: float) -> RobotState:
        """Let `dt_s` seconds pass and return the state at their end."""
        return self.state_at(self.state.t_ns + round(dt_s * 1e9))

    def state_at(self, t_ns: int) -> RobotState:
        """Simulate up to an instant and return the state there.

        Raises:
            OptionError: the instant lies before the last one; time only runs forwards.
        """
        if t_ns < self.state.t_ns:
            raise OptionError(
                f"the demo robot is at {self.state.t_ns} ns already and cannot go back to {t_ns} "
                "ns; make a new DemoRobot"
            )
        while self._tick.t_ns + TICK_NS <= t_ns:
            self._tick = self._commanded(self._moved(self._tick, TICK_NS))
        self.state = self._moved(self._tick, t_ns - self._tick.t_ns)
        return self.state

    def _commanded(self, state: RobotState) -> RobotState:
        if self._autopilot is None or state.t_ns % (CONTROL_TICKS * TICK_NS):
            return state
        moving = Command(state.linear, state.angular)
        return state._replace(command=self._autopilot.decide(state.x, state.y, state.yaw, moving))

    def _moved(self, state: RobotState, dt_ns: int) -> RobotState:
        """The state a little later: speeds approach the command, the pose follows an arc."""
        if dt_ns == 0:
            return state
        dt_s = dt_ns / 1e9
        linear = _approach(state.linear, state.command.linear, MAX_ACCELERATION * dt_s)
        angular = _approach(state.angular, state.command.angular, MAX_ANGULAR_ACCELERATION * dt_s)
        advance_m = 0.5 * (state.linear + linear) * dt_s
        turn_rad = 0.5 * (state.angular + angular) * dt_s
        x = state.x + advance_m * math.cos(state.yaw + 0.5 * turn_rad)
        y = state.y + advance_m * math.sin(state.yaw + 0.5 * turn_rad)
        if advance_m and self._bumps(state, x, y):
            x, y, linear, advance_m = state.x, state.y, 0.0, 0.0
        half_track_m = 0.5 * WHEEL_SEPARATION_M * turn_rad
        return RobotState(
            t_ns=state.t_ns + dt_ns,
            x=x,
            y=y,
            yaw=state.yaw + turn_rad,
            linear=linear,
            angular=angular,
            acceleration=(linear - state.linear) / dt_s,
            left_wheel=state.left_wheel + (advance_m - half_track_m) / WHEEL_RADIUS_M,
            right_wheel=state.right_wheel + (advance_m + half_track_m) / WHEEL_RADIUS_M,
            command=state.command,
        )

    def _bumps(self, state: RobotState, x: float, y: float) -> bool:
        """Whether moving to (x, y) runs into something; moving away from a wall is allowed."""
        if self._autopilot is not None:
            return False  # its path keeps clear of everything
        before, after = self.world.clearance_m(np.array([(state.x, state.y), (x, y)]))
        return bool(after < RADIUS_M and after < before)


class Autopilot:
    """Follows a closed path by pure pursuit: steer along the arc to a point a little ahead.

    Formula: R. C. Coulter, "Implementation of the Pure Pursuit Path Tracking Algorithm", 1992.
    """

    look_ahead_m = 0.45
    cruise_speed = 0.7
    max_angular = 1.2

    def __init__(self, waypoints: tuple[Point, ...]) -> None:
        self.path = smooth_loop(waypoints)
        self._at = 0
        self.rounds = 0
        """How often the end of the path has been passed."""

    @property
    def start(self) -> tuple[Point, float]:
        """Where the path begins and which way it heads: (x, y) in m and yaw in rad."""
        (x, y), (ahead_x, ahead_y) = self.path[0].tolist(), self.path[1].tolist()
        return (x, y), math.atan2(ahead_y - y, ahead_x - x)

    def join(self, x: float, y: float) -> None:
        """Go on from the point of the path that lies nearest."""
        self._at = int(np.hypot(*(self.path - (x, y)).T).argmin())

    def ahead(self, count: int) -> Floats:
        """The next points of the path; shape (count, 2) in m."""
        points: Floats = self.path[(self._at + np.arange(count)) % len(self.path)]
        return points

    def decide(self, x: float, y: float, yaw: float, moving: Command) -> Command:
        """The command for the next control period.

        Args:
            x, y, yaw: where the robot is (m, m, rad).
            moving: how fast it moves now.
        """
        target_x, target_y = self._target(x, y)
        dx, dy = target_x - x, target_y - y
        bearing = math.atan2(dy, dx) - yaw
        bearing = math.atan2(math.sin(bearing), math.cos(bearing))
        curvature = 2.0 * math.sin(bearing) / math.hypot(dx, dy)
        linear = min(self.cruise_speed, 0.6 / (abs(curvature) + 0.1))
        angular = max(-self.max_angular, min(self.max_angular, curvature * linear))
        period_s = CONTROL_TICKS * TICK_NS / 1e9
        return Command(
            _approach(moving.linear, linear, MAX_ACCELERATION * period_s),
            _approach(moving.angular, angular, MAX_ANGULAR_ACCELERATION * period_s),
        )

    def _target(self, x: float, y: float) -> Point:
        """The first point of the path, from where the robot was last, that lies far enough off."""
        for _ in range(len(self.path)):
            target_x, target_y = self.path[self._at].tolist()
            if math.hypot(target_x - x, target_y - y) >= self.look_ahead_m:
                break
            self._at = (self._at + 1) % len(self.path)
            self.rounds += self._at == 0
        return target_x, target_y


def smooth_loop(waypoints: tuple[Point, ...], points_per_leg: int = 40) -> Floats:
    """A closed Catmull-Rom curve through the waypoints; shape (points, 2) in m."""
    p1 = np.array(waypoints)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    u = (np.arange(points_per_leg) / points_per_leg)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (p0, p1, p2, p3))
    curve: Floats = 0.5 * (
        2 * p1
        + (p2 - p0) * u
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * u**2
        + (3 * p1 - p0 - 3 * p2 + p3) * u**3
    )
    return curve.reshape(-1, 2)


def _approach(value: float, target: float, limit: float) -> float:
    return value + max(-limit, min(limit, target - value))

"""What the robot is told, what it does and what it measures agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dimos_record.demo_robot import Command, DemoRobot, Sample, Sensors
from dimos_record.demo_robot.robot import RADIUS_M, WHEEL_RADIUS_M
from dimos_record.demo_robot.sensors import ACCELEROMETER_NOISE, GRAVITY, GYRO_NOISE
from dimos_record.errors import OptionError


def test_odometry_integrates_cmd_vel():
    robot = DemoRobot()
    sensors = Sensors(robot)
    first = sensors.odom(Sample(robot.state, 0, 0)).pose.pose
    x, y = first.position.x, first.position.y
    yaw = 2 * math.atan2(first.orientation.z, first.orientation.w)
    for k in range(15 * 20):
        command = sensors.cmd_vel(Sample(robot.state, k, 0))
        x += command.linear.x * 0.05 * math.cos(yaw + command.angular.z * 0.025)
        y += command.linear.x * 0.05 * math.sin(yaw + command.angular.z * 0.025)
        yaw += command.angular.z * 0.05
        robot.step(0.05)
    last = sensors.odom(Sample(robot.state, 1, 0)).pose.pose
    # Speeds reach a command within its 50 ms, so the two never differ by more than a bit of way.
    assert math.hypot(last.position.x - first.position.x, last.position.y - first.position.y) > 3
    assert math.hypot(last.position.x - x, last.position.y - y) < 0.15


def test_the_imu_feels_turn_acceleration_and_gravity():
    robot = DemoRobot()
    exact, noisy = Sensors(robot, noise=False), Sensors(robot)
    felt_turn = felt_sideways = 0.0
    for k in range(400):
        before, after = robot.state, robot.step(0.05)
        imu = exact.imu(Sample(after, k, 0))
        assert imu.angular_velocity.z == after.angular
        assert imu.linear_acceleration.y == after.linear * after.angular
        assert imu.linear_acceleration.z == GRAVITY
        assert imu.linear_acceleration.x == pytest.approx(
            (after.linear - before.linear) / 0.05, abs=0.81
        )
        measured = noisy.imu(Sample(after, k, 0))
        assert measured.angular_velocity.z == pytest.approx(after.angular, abs=6 * GYRO_NOISE)
        assert measured.linear_acceleration.z == pytest.approx(GRAVITY, abs=6 * ACCELEROMETER_NOISE)
        felt_turn = max(felt_turn, abs(imu.angular_velocity.z))
        felt_sideways = max(felt_sideways, abs(imu.linear_acceleration.y))
    assert felt_turn > 0.3
    assert felt_sideways > 0.1


def test_speed_is_the_integral_of_the_measured_acceleration():
    robot = DemoRobot()
    sensors = Sensors(robot, noise=False)
    speed = 0.0
    for k in range(1, 2000):
        robot.state_at(k * 5_000_000)
        speed += sensors.imu(Sample(robot.state, k, 0)).linear_acceleration.x * 0.005
    assert speed == pytest.approx(robot.state.linear, abs=1e-9)


def test_the_wheels_turn_as_far_as_the_robot_drives():
    robot = DemoRobot()
    sensors = Sensors(robot)
    start, way_m, last = robot.state, 0.0, robot.state
    for _ in range(2000):
        state = robot.step(0.01)
        way_m += math.hypot(state.x - last.x, state.y - last.y)
        last = state
    left, right = sensors.joint_states(Sample(last, 0, 0)).position
    assert WHEEL_RADIUS_M * (left + right) / 2 == pytest.approx(way_m, rel=1e-3)
    assert WHEEL_RADIUS_M * (right - left) / 0.4 == pytest.approx(last.yaw - start.yaw, abs=1e-6)


def test_the_state_does_not_depend_on_how_time_is_sliced():
    coarse, fine = DemoRobot(), DemoRobot()
    for k in range(1, 700):
        fine.state_at(k * 7_333_333)
    assert coarse.state_at(699 * 7_333_333) == fine.state


def test_time_only_runs_forwards():
    robot = DemoRobot()
    robot.step(1.0)
    with pytest.raises(OptionError, match="cannot go back"):
        robot.state_at(0)


def test_a_driven_robot_obeys_and_stops_at_the_wall():
    robot = DemoRobot()
    robot.step(0.5)
    robot.drive(Command(0.0, 1.0))
    robot.step(2.0)
    assert robot.state.angular == pytest.approx(1.0)
    assert robot.state.linear == pytest.approx(0.0)
    assert robot.state.command == Command(0.0, 1.0)
    robot.drive(Command(0.6, 0.0))
    robot.step(30.0)
    here = robot.world.clearance_m(_as_array(robot))[0]
    assert robot.state.linear < 0.01
    assert here == pytest.approx(RADIUS_M, abs=0.02)
    robot.drive(Command(-0.3, 0.0))
    robot.step(1.5)
    assert robot.world.clearance_m(_as_array(robot))[0] > RADIUS_M + 0.1, "it can back off"


def _as_array(robot: DemoRobot) -> np.ndarray:
    return np.array([(robot.state.x, robot.state.y)])

"""The map that is built from lidar scans is the room."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dimos_record.demo_robot import DemoRobot
from dimos_record.demo_robot.lidar import HEIGHT_M, Lidar
from dimos_record.demo_robot.mapping import ScanMap
from dimos_record.demo_robot.noise import Noise
from dimos_record.demo_robot.world import FloorPlan


def mapped(scans: int, period_s: float) -> FloorPlan:
    """The map after a part of the robot's round."""
    robot = DemoRobot()
    lidar = Lidar(robot.world, Noise(0), azimuths=360)
    drawn = ScanMap((-0.5, -0.5), (13.0, 9.0), 0.05)
    for _ in range(scans):
        state = robot.step(period_s)
        drawn.add(lidar.scan(state)[:, :3], HEIGHT_M, state.x, state.y, state.yaw)
    return drawn.floor_plan()


@pytest.fixture(scope="module")
def after_a_round() -> FloorPlan:
    return mapped(scans=300, period_s=0.2)


def test_a_round_maps_nearly_all_of_the_floor(after_a_round: FloorPlan) -> None:
    truth = DemoRobot().world.floor_plan()
    assert (after_a_round.origin, after_a_round.cells.shape) == (truth.origin, truth.cells.shape)
    assert (after_a_round.cells[truth.cells == 0] == 0).mean() > 0.95


def test_what_is_in_the_way_is_near_a_face_and_what_is_free_is_not(
    after_a_round: FloorPlan,
) -> None:
    world = DemoRobot().world
    rows, columns = np.nonzero(after_a_round.cells == 100)
    centres = after_a_round.origin + 0.05 * (np.column_stack([columns, rows]) + 0.5)
    on_the_floor = centres[world.is_free(centres)]  # not on top of a box
    assert len(rows) > 2000
    assert (world.clearance_m(on_the_floor) < 0.1).mean() > 0.99
    truth = world.floor_plan()
    assert (after_a_round.cells[truth.cells == 100] == 0).mean() < 0.05


def test_the_way_through_the_door_is_free_although_there_is_a_lintel(
    after_a_round: FloorPlan,
) -> None:
    column, row = (int((at + 0.5) / 0.05) for at in (7.0, 3.8))
    assert (after_a_round.cells[row - 8 : row + 9, column - 8 : column + 9] == 0).all()


def test_a_low_box_stays_in_the_map_while_the_lidar_looks_over_it() -> None:
    robot = DemoRobot()
    lidar = Lidar(robot.world, Noise(0), azimuths=360)
    drawn = ScanMap((-0.5, -0.5), (13.0, 9.0), 0.05)

    def look_from(x: float, y: float, scans: int) -> NDArray[np.bool_]:
        for _ in range(scans):
            scan = lidar.scan(robot.state._replace(x=x, y=y))
            drawn.add(scan[:, :3], HEIGHT_M, x, y, robot.state.yaw)
        around_the_red_box = slice(50, 66), slice(68, 84)
        occupied: NDArray[np.bool_] = drawn.floor_plan().cells[around_the_red_box] == 100
        return occupied

    seen = look_from(1.0, 1.2, scans=10)
    assert seen.sum() > 10
    assert look_from(3.3, 1.5, scans=60)[seen].all()


def test_the_same_scans_give_the_same_map() -> None:
    assert np.array_equal(mapped(10, 0.1).cells, mapped(10, 0.1).cells)


def test_cells_that_were_never_seen_stay_unknown() -> None:
    plan = mapped(scans=1, period_s=0.1)
    assert plan.cells[-1, -1] == -1
    assert (plan.cells == 0).any()
    assert (ScanMap((0.0, 0.0), (1.0, 2.0), 0.1).floor_plan().cells == -1).all()

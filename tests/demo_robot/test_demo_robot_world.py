"""Camera, lidar and map see the same world, and see it where it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dimos_record.demo_robot.camera import CENTRE_Y, FOCAL_PX, FORWARD_M, HEIGHT_M, Camera
from dimos_record.demo_robot.lidar import HEIGHT_M as LIDAR_HEIGHT_M
from dimos_record.demo_robot.lidar import Lidar
from dimos_record.demo_robot.noise import Noise
from dimos_record.demo_robot.robot import DemoRobot
from dimos_record.demo_robot.room import demo_world
from dimos_record.demo_robot.world import World


@pytest.fixture(scope="module")
def room() -> World:
    return demo_world()


@pytest.fixture(scope="module")
def places():
    """States from all over the robot's round."""
    robot = DemoRobot()
    return [robot.step(4.7) for _ in range(12)]


def test_the_lidar_measures_the_distance_to_the_walls(bare_room, at):
    lidar = Lidar(bare_room, rings=9, azimuths=360)
    level = lidar.scan(at(1.0, 1.0, yaw=math.radians(90))).reshape(9, 360, 4)[5]
    ranges = np.hypot(level[:, 0], level[:, 1])
    assert ranges[0] == pytest.approx(2.0, abs=1e-5)  # north
    assert ranges[90] == pytest.approx(1.0, abs=1e-5)  # west
    assert ranges[180] == pytest.approx(1.0, abs=1e-5)  # south
    assert ranges[270] == pytest.approx(3.0, abs=1e-5)  # east
    assert ranges[300] == pytest.approx(3.0 / math.cos(math.radians(30)), abs=1e-5)


def test_lidar_rays_end_on_floor_and_ceiling(bare_room, at):
    scan = Lidar(bare_room).scan(at(2.0, 1.5))
    z = scan[:, 2] + LIDAR_HEIGHT_M
    assert z.min() == pytest.approx(0.0, abs=1e-6)
    assert (np.abs(z) < 1e-6).sum() > 100
    low_walls = [wall._replace(top_m=1.2) for wall in bare_room.walls]
    low_room = World(low_walls, bare_room.size_m, 1.2)
    assert Lidar(low_room).scan(at(2.0, 1.5))[:, 2].max() == pytest.approx(0.2, abs=1e-6)


def test_the_lidar_sees_the_top_of_a_low_box(room, at):
    """The red box at (3.3, 2.4) is 0.5 m high; from close by, rays come down on its top."""
    scan = Lidar(room, rings=64, azimuths=720).scan(at(3.3, 1.4, yaw=math.pi / 2))
    on_top = scan[(np.abs(scan[:, 2] + LIDAR_HEIGHT_M - 0.5) < 1e-5) & (scan[:, 0] < 1.5)]
    assert len(on_top) > 10
    assert np.all(np.hypot(on_top[:, 0] - 1.0, on_top[:, 1]) < 0.45)


def test_range_noise_is_about_a_centimetre(bare_room, at):
    exact = Lidar(bare_room).scan(at(2.0, 1.5))[:, :3]
    noisy = Lidar(bare_room, Noise(3)).scan(at(2.0, 1.5))[:, :3]
    error_m = np.linalg.norm(noisy, axis=1) - np.linalg.norm(exact, axis=1)
    assert error_m.std() == pytest.approx(0.01, rel=0.1)


def test_camera_depth_equals_lidar_range_in_the_same_direction(room, places, at):
    camera = Camera(room)
    level = Lidar(room, rings=9, azimuths=4)
    for state in places:
        depth_m = camera.depth_m(state)
        eye_x = state.x + FORWARD_M * math.cos(state.yaw)
        eye_y = state.y + FORWARD_M * math.sin(state.yaw)
        for column in (0, 100, 319, 450, 639):
            turn = -math.atan(camera.across[column])
            ahead = level.scan(at(eye_x, eye_y, state.yaw + turn)).reshape(9, 4, 4)[5, 0]
            assert depth_m[column] / math.cos(turn) == pytest.approx(ahead[0], abs=1e-4)


def test_the_picture_shows_a_wall_where_its_depth_says(bare_room, at):
    picture = Camera(bare_room).render(at(1.0, 1.5)).astype(int)
    depth_m = 3.0 - FORWARD_M
    foot = math.ceil(CENTRE_Y + FOCAL_PX * HEIGHT_M / depth_m)
    skirting, floor = picture[foot - 2, 320], picture[foot + 1, 320]
    assert skirting[0] > 1.8 * skirting[2], "the skirting board is brown"
    assert floor[0] < 1.2 * floor[2], "the floor is grey"
    skirting_top = math.ceil(CENTRE_Y + FOCAL_PX * (HEIGHT_M - 0.2) / depth_m)
    assert np.ptp(picture[skirting_top - 2, 320]) < 5, "the wall above it is grey"
    assert np.ptp(picture[skirting_top + 1, 320]) > 20


def test_a_red_box_is_red_where_it_stands(room, at):
    yaw = math.atan2(2.4 - 1.2, 3.3 - 2.2)
    picture = Camera(room).render(at(2.2, 1.2, yaw)).astype(int)
    # Other red things: a picture above the horizon, a box far to the right.
    part = picture[241:, 190:450]
    rows, columns = np.nonzero((part[..., 0] > 100) & (part[..., 1:].max(axis=2) < 70))
    depth_m = math.hypot(1.1, 1.2) - FORWARD_M
    assert columns.mean() + 190 == pytest.approx(320, abs=25)
    top_row = CENTRE_Y + FOCAL_PX * (HEIGHT_M - 0.5) / (depth_m + 0.5)
    assert rows.min() + 241 > top_row, "nothing red higher than the far edge of its top"


def test_every_pixel_is_painted(room, places):
    """Markers for floor and ceiling are black; no real colour is that dark."""
    camera = Camera(room)
    for state in places:
        assert camera.render(state).min() >= 4


def test_the_map_marks_what_the_lidar_hits(room, places):
    grid = room.floor_plan()
    lidar = Lidar(room)
    for state in places:
        points = lidar.scan(state)
        height_m = points[:, 2] + LIDAR_HEIGHT_M
        upright = points[(height_m > 0.01) & (height_m < 2.05)]
        cos, sin = math.cos(state.yaw), math.sin(state.yaw)
        x = state.x + cos * upright[:, 0] - sin * upright[:, 1]
        y = state.y + sin * upright[:, 0] + cos * upright[:, 1]
        column = np.floor((x - grid.origin[0]) / grid.resolution_m).astype(int)
        row = np.floor((y - grid.origin[1]) / grid.resolution_m).astype(int)
        marks = grid.cells[row, column]
        assert not np.any(marks == 0), "a hit in a free cell"
        assert np.mean(marks == 100) > 0.9, "the rest are the tops of boxes"


def test_the_map_knows_free_occupied_and_outside(room):
    grid = room.floor_plan()

    def cell(x: float, y: float) -> int:
        row, column = ((c - grid.origin[0]) / grid.resolution_m for c in (y, x))
        return int(grid.cells[int(row), int(column)])

    assert cell(7.0, 3.8) == 0, "the doorway is open under its lintel"
    assert cell(7.05, 2.0) == 100
    assert cell(-0.3, 4.0) == -1
    assert cell(3.3, 2.4) == -1, "nobody has seen the inside of a box"


def test_the_round_leads_through_both_rooms_and_touches_nothing(room):
    robot = DemoRobot()
    way = np.array([(s.x, s.y) for s in (robot.step(0.1) for _ in range(900))])
    assert room.clearance_m(way).min() > 0.4
    assert way[:, 0].min() < 2.0
    assert way[:, 0].max() > 10.0
    start = way[0]
    assert np.hypot(*(way[300:] - start).T).min() < 0.5, "it comes round again"

from __future__ import annotations

import pytest

from dimos_record.messages import is_latched


@pytest.mark.parametrize(
    ("topic", "type_name"),
    [
        ("/camera_info", "sensor_msgs.CameraInfo"),
        ("/any/name", "sensor_msgs.CameraInfo"),
        ("/global_costmap", "nav_msgs.OccupancyGrid"),
        ("tf_static", "tf2_msgs.TFMessage"),
        ("/tf_static", None),
        ("/robot1/tf_static", "tf2_msgs.TFMessage"),
        ("/robot1/robot_description", "std_msgs.String"),
    ],
)
def test_what_describes_world_or_robot_is_latched(topic, type_name):
    assert is_latched(topic, type_name)


@pytest.mark.parametrize(
    ("topic", "type_name"),
    [
        ("/tf", "tf2_msgs.TFMessage"),
        ("/tf_static_ages", "tf2_msgs.TFMessage"),
        ("/camera", "sensor_msgs.Image"),
        ("/odom", None),
        ("/goal", "geometry_msgs.PoseStamped"),
        ("/path", "nav_msgs.Path"),
        ("", None),
    ],
)
def test_streams_and_commands_are_not(topic, type_name):
    assert not is_latched(topic, type_name)

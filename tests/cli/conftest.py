from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.ros2_files import Recorded, cdr, write_mcap


@pytest.fixture(scope="session")
def rosbag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MCAP file: 20 texts on /chat, one on /latched, and one message that nothing can be."""
    now_ns = 1_700_000_000_000_000_000
    texts = [
        Recorded("/chat", "std_msgs/String", cdr("std_msgs/String", {"data": str(i)}), now_ns + i)
        for i in range(20)
    ]
    latched = Recorded(
        "/latched",
        "std_msgs/String",
        cdr("std_msgs/String", {"data": "stays"}),
        now_ns,
        metadata=(("offered_qos_profiles", "- durability: transient_local"),),
    )
    values = {"header": {"stamp": {"sec": 1, "nanosec": 2}, "frame_id": ""}, "width": 0.1}
    gripper = Recorded("/gripper", "acme_msgs/Gripper", cdr("acme_msgs/Gripper", values), now_ns)
    path = tmp_path_factory.mktemp("rosbag") / "rosbag.mcap"
    return write_mcap(path, [latched, gripper, *texts])

"""Figures that do not change, for pictures of the live screen."""

from __future__ import annotations

from dimos_record.cli.tui.live.recording import Account
from dimos_record.cli.tui.live.watch import TopicNow

_WAVE = tuple(float(10 + i % 7) for i in range(120))
_STARTED = (0.0,) * 100 + tuple(float(i) for i in range(20))


def _topic(channel: str, rate_hz: float, size: int, age_s: float = 0.0) -> TopicNow:
    history = _WAVE if rate_hz > 20 else _STARTED
    return TopicNow(channel, rate_hz, rate_hz * size, size, age_s, round(rate_hz * 60), history)


TOPICS = [
    _topic("/camera/color/image#sensor_msgs.Image", 15.0, 921_660),
    _topic("/camera/color/info#sensor_msgs.CameraInfo", 1.0, 372),
    _topic("/camera/depth/image#sensor_msgs.Image", 15.0, 614_460),
    _topic("/cmd_vel#geometry_msgs.Twist", 0.0, 48, age_s=83.0),
    _topic("/imu#sensor_msgs.Imu", 200.2, 324),
    _topic("/lidar#sensor_msgs.PointCloud2", 10.0, 98_432),
    _topic("/map#nav_msgs.OccupancyGrid", 0.5, 40_100, age_s=1.6),
    _topic("/odom#geometry_msgs.PoseStamped", 50.1, 112),
    _topic("/raw", 3.0, 17),
    _topic("/tf#tf2_msgs.TFMessage", 30.0, 260),
    _topic("/tf_static#tf2_msgs.TFMessage", 1.0, 410),
]
MODULES = {
    "/camera/color/image#sensor_msgs.Image": "Camera",
    "/camera/color/info#sensor_msgs.CameraInfo": "Camera",
    "/camera/depth/image#sensor_msgs.Image": "Camera",
    "/imu#sensor_msgs.Imu": "robot1/Driver",
    "/odom#geometry_msgs.PoseStamped": "robot1/Driver",
    "/map#nav_msgs.OccupancyGrid": "Mapper",
}
ACCOUNT = Account(
    name="w.db",
    elapsed_s=63.4,
    received=24_310,
    written=24_298,
    dropped=0,
    lost=0,
    stored_bytes=1_630_000_000,
    disk_free_bytes=84_200_000_000,
    buffer=0.12,
    paused=False,
)

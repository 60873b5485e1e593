"""Small MCAP files of ROS 2 messages for the tests, and a comparison of ROS 2 with LCM messages."""

from __future__ import annotations

import math
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from mcap.reader import make_reader
from mcap.writer import Writer
from mcap_ros2.writer import Writer as Ros2Writer

# The interface definitions of ROS 2 (common_interfaces, Humble), without their comments.
DEFINITIONS = {
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
    "builtin_interfaces/Duration": "int32 sec\nuint32 nanosec",
    "std_msgs/Header": "builtin_interfaces/Time stamp\nstring frame_id",
    "std_msgs/String": "string data",
    "std_msgs/Bool": "bool data",
    "std_msgs/Char": "char data",
    "std_msgs/Byte": "byte data",
    "std_msgs/Empty": "",
    "std_msgs/UInt32": "uint32 data",
    "std_msgs/MultiArrayDimension": "string label\nuint32 size\nuint32 stride",
    "std_msgs/MultiArrayLayout": "MultiArrayDimension[] dim\nuint32 data_offset",
    "std_msgs/ByteMultiArray": "MultiArrayLayout layout\nbyte[] data",
    "geometry_msgs/Point": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Vector3": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Quaternion": "float64 x 0\nfloat64 y 0\nfloat64 z 0\nfloat64 w 1",
    "geometry_msgs/Pose": "Point position\nQuaternion orientation",
    "geometry_msgs/PoseStamped": "std_msgs/Header header\nPose pose",
    "nav_msgs/MapMetaData": "builtin_interfaces/Time map_load_time\nfloat32 resolution\n"
    "uint32 width\nuint32 height\ngeometry_msgs/Pose origin",
    "nav_msgs/OccupancyGrid": "std_msgs/Header header\nMapMetaData info\nint8[] data",
    "nav_msgs/Path": "std_msgs/Header header\ngeometry_msgs/PoseStamped[] poses",
    "sensor_msgs/RegionOfInterest": "uint32 x_offset\nuint32 y_offset\nuint32 height\n"
    "uint32 width\nbool do_rectify",
    "sensor_msgs/CameraInfo": "std_msgs/Header header\nuint32 height\nuint32 width\n"
    "string distortion_model\nfloat64[] d\nfloat64[9] k\nfloat64[9] r\nfloat64[12] p\n"
    "uint32 binning_x\nuint32 binning_y\nRegionOfInterest roi",
    "sensor_msgs/Image": "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\n"
    "uint8 is_bigendian\nuint32 step\nuint8[] data",
    "sensor_msgs/PointField": "uint8 INT8=1\nuint8 FLOAT32=7\nstring name\nuint32 offset\n"
    "uint8 datatype\nuint32 count",
    "sensor_msgs/PointCloud2": "std_msgs/Header header\nuint32 height\nuint32 width\n"
    "PointField[] fields\nbool is_bigendian\nuint32 point_step\nuint32 row_step\n"
    "uint8[] data\nbool is_dense",
    "sensor_msgs/LaserScan": "std_msgs/Header header\nfloat32 angle_min\nfloat32 angle_max\n"
    "float32 angle_increment\nfloat32 time_increment\nfloat32 scan_time\nfloat32 range_min\n"
    "float32 range_max\nfloat32[] ranges\nfloat32[] intensities",
    "sensor_msgs/JointState": "std_msgs/Header header\nstring[] name\nfloat64[] position\n"
    "float64[] velocity\nfloat64[] effort",
    "sensor_msgs/Imu": "std_msgs/Header header\ngeometry_msgs/Quaternion orientation\n"
    "float64[9] orientation_covariance\ngeometry_msgs/Vector3 angular_velocity\n"
    "float64[9] angular_velocity_covariance\ngeometry_msgs/Vector3 linear_acceleration\n"
    "float64[9] linear_acceleration_covariance",
    "trajectory_msgs/JointTrajectoryPoint": "float64[] positions\nfloat64[] velocities\n"
    "float64[] accelerations\nfloat64[] effort\nbuiltin_interfaces/Duration time_from_start",
    "acme_msgs/Gripper": "std_msgs/Header header\nfloat64 width",
}

_OTHER_NAMES = {"nanosec": "nsec", "d": "D", "k": "K", "r": "R", "p": "P", "t": "T"}


def definition(ros_type: str, body: str | None = None, without: str = "") -> str:
    """The definition of `package/Name` followed by those of everything in it, as rosbag2 writes it.

    Args:
        body: stands for the type's own definition.
        without: a part that is left out.
    """
    bodies = {ros_type: DEFINITIONS[ros_type] if body is None else body}
    queue = [ros_type]
    for name in queue:
        for line in bodies[name].splitlines():
            part = line.split()[0].split("[")[0]
            full = part if "/" in part else f"{name.split('/')[0]}/{part}"
            if full in DEFINITIONS and full not in bodies and full != without:
                bodies[full] = DEFINITIONS[full]
                queue.append(full)
    first, *parts = bodies.items()
    separator = "\n" + "=" * 80 + "\n"
    return separator.join([first[1], *(f"MSG: {name}\n{body}" for name, body in parts)]) + "\n"


class Recorded(NamedTuple):
    """One message of an MCAP file, on a channel of its own per topic."""

    topic: str
    ros_type: str | None
    """`package/Name`; None for a channel without schema."""
    data: bytes
    ts_ns: int = 1_700_000_000_000_000_000
    text: str | None = None
    """The schema, where it is not the definition of the type."""
    encoding: str = "cdr"
    schema_encoding: str = "ros2msg"
    metadata: tuple[tuple[str, str], ...] = ()


def cdr(ros_type: str, values: dict[str, Any], text: str | None = None) -> bytes:
    """A message as ROS 2 serializes it."""
    file = BytesIO()
    writer = Ros2Writer(file)
    schema = writer.register_msgdef(ros_type, definition(ros_type) if text is None else text)
    writer.write_message("/", schema, values)
    writer.finish()
    ((_, _, message),) = make_reader(BytesIO(file.getvalue())).iter_messages()
    return bytes(message.data)


def write_mcap(path: Path, messages: Iterable[Recorded], **options: Any) -> Path:
    """Write an MCAP file; options are those of `mcap.writer.Writer`."""
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start(profile="ros2")
        channels: dict[str, int] = {}
        for message in messages:
            if message.topic not in channels:
                channels[message.topic] = _register(writer, message)
            writer.add_message(
                channels[message.topic], message.ts_ns, message.data, max(message.ts_ns - 7, 0)
            )
        writer.finish()
    return path


def _register(writer: Writer, message: Recorded) -> int:
    schema_id = 0
    if message.ros_type is not None:
        package, name = message.ros_type.split("/")
        text = definition(message.ros_type) if message.text is None else message.text
        schema_id = writer.register_schema(
            f"{package}/msg/{name}", message.schema_encoding, text.encode()
        )
    return writer.register_channel(
        message.topic, message.encoding, schema_id, dict(message.metadata)
    )


def differences(ros: Any, lcm: Any, where: str = "") -> list[str]:
    """Every field in which a message decoded by `mcap_ros2` differs from a decoded LCM message."""
    if hasattr(ros, "_type"):
        rest = set(lcm.__slots__)
        found = []
        for name in ros.__slots__:
            other = name if name in rest else _OTHER_NAMES[name]
            rest.discard(other)
            value, copy = getattr(ros, name), getattr(lcm, other)
            if f"{other}_length" in rest:
                rest.discard(f"{other}_length")
                found += differences(len(value), getattr(lcm, f"{other}_length"), f"len({other})")
            found += differences(value, copy, f"{where}.{name}")
        if "seq" in rest and lcm.seq == 0:
            rest.discard("seq")
        return found + [f"{where}: {name} was not compared" for name in rest]
    if isinstance(ros, (list, bytes)):
        found = [] if len(ros) == len(lcm) else [f"{where}: {len(ros)} became {len(lcm)} values"]
        if isinstance(ros, bytes):
            return found if ros == lcm else [*found, f"{where}: other bytes"]
        for index, (value, copy) in enumerate(zip(ros, lcm, strict=False)):
            found += differences(value, copy, f"{where}[{index}]")
        return found
    both_nan = isinstance(ros, float) and math.isnan(ros) and math.isnan(lcm)
    return [] if ros == lcm or both_nan else [f"{where}: {ros!r} became {lcm!r}"]

"""The ROS 2 definitions of the types that LCM and ROS 2 share.

dimos_lcm's types were made from those of ROS 2, so that a definition follows from the description
of the LCM class. What differs:

- LCM arrays of variable length have a length field of their own (`transforms_length`), and its
  header has a `seq`: neither is in ROS 2.
- LCM has no unsigned integers except the byte (`_UNSIGNED`).
- Names are in lower case in ROS 2 (`d k r p` of CameraInfo), and LCM's `nsec` is `nanosec`.
- ROS 2 has added fields at the end of a few types since (`_ADDED`); they are written empty.

Names and fields are those of Humble and Jazzy (common_interfaces, vision_msgs, control_msgs and
foxglove_msgs).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from dimos_record.messages import message_class, type_name_of

_SEPARATOR = "=" * 80

_PRIMITIVES = {
    "boolean": "bool",
    "byte": "uint8",
    "double": "float64",
    "float": "float32",
    "int8_t": "int8",
    "int16_t": "int16",
    "int32_t": "int32",
    "int64_t": "int64",
    "string": "string",
}

_TIMES = {
    "std_msgs.Time": "builtin_interfaces/Time",
    "std_msgs.Duration": "builtin_interfaces/Duration",
}
"""LCM types that ROS 2 has in another package."""

_ONLY_IN_LCM = {("std_msgs.Header", "seq")}

_OCTETS = {
    ("diagnostic_msgs.DiagnosticStatus", "level"): "byte",
    ("std_msgs.Byte", "data"): "byte",
    ("std_msgs.ByteMultiArray", "data"): "byte",
    ("std_msgs.Char", "data"): "char",
}
"""Fields of one byte that ROS 2 calls otherwise."""

_UNSIGNED = {
    "builtin_interfaces.Duration": "nanosec",
    "builtin_interfaces.Time": "nanosec",
    "control_msgs.CANopenState": "last_emcy_code",
    "control_msgs.EtherCATState": "slave_position al_status_code",
    "control_msgs.JointComponentTolerance": "component",
    "control_msgs.VDA5050State": "last_node_id",
    "foxglove_msgs.CameraCalibration": "width height",
    "foxglove_msgs.Grid": "column_count row_stride cell_stride",
    "foxglove_msgs.LinePrimitive": "indices",
    "foxglove_msgs.Log": "line",
    "foxglove_msgs.PackedElementField": "offset",
    "foxglove_msgs.PointCloud": "point_stride",
    "foxglove_msgs.RawAudio": "sample_rate number_of_channels",
    "foxglove_msgs.RawImage": "width height step",
    "foxglove_msgs.TriangleListPrimitive": "indices",
    "nav_msgs.MapMetaData": "width height",
    "sensor_msgs.CameraInfo": "height width binning_x binning_y",
    "sensor_msgs.Image": "height width step",
    "sensor_msgs.NavSatStatus": "service",
    "sensor_msgs.PointCloud2": "height width point_step row_step",
    "sensor_msgs.PointField": "offset count",
    "sensor_msgs.RegionOfInterest": "x_offset y_offset height width",
    "shape_msgs.MeshTriangle": "vertex_indices",
    "std_msgs.Duration": "nsec",
    "std_msgs.MultiArrayDimension": "size stride",
    "std_msgs.MultiArrayLayout": "data_offset",
    "std_msgs.Time": "nsec",
    "std_msgs.UInt16": "data",
    "std_msgs.UInt16MultiArray": "data",
    "std_msgs.UInt32": "data",
    "std_msgs.UInt32MultiArray": "data",
    "std_msgs.UInt64": "data",
    "std_msgs.UInt64MultiArray": "data",
    "vision_msgs.VisionClass": "class_id",
    "visualization_msgs.InteractiveMarkerFeedback": "menu_entry_id",
    "visualization_msgs.InteractiveMarkerInit": "seq_num",
    "visualization_msgs.InteractiveMarkerUpdate": "seq_num",
    "visualization_msgs.MenuEntry": "id parent_id",
}
"""Integers that are signed in LCM and unsigned in ROS 2."""

_ADDED = {
    "shape_msgs.SolidPrimitive": {"dimensions": "geometry_msgs/Polygon polygon"},
    "visualization_msgs.Marker": {
        "colors": "string texture_resource\n"
        "sensor_msgs/CompressedImage texture\n"
        "visualization_msgs/UVCoordinate[] uv_coordinates",
        "mesh_resource": "visualization_msgs/MeshFile mesh_file",
    },
}
"""Fields that only ROS 2 has, by the field before them."""

_ONLY_IN_ROS2 = {
    "visualization_msgs/MeshFile": "string filename\nuint8[] data",
    "visualization_msgs/UVCoordinate": "float32 u\nfloat32 v",
}

_FIELD = re.compile(
    r"(?P<type>[A-Za-z][\w/]*)(?:<=\d+)?(?P<array>\[[^\]]*\])?\s+(?P<name>\w+)\s*=?"
)


class RosField(NamedTuple):
    """One field of a ROS 2 message."""

    name: str
    type: str
    """`uint32`, `string`, `geometry_msgs/Point`"""
    array: str
    """Nothing, `[]` or `[9]`."""
    lcm_name: str | None = None
    """The field of the LCM class; None where only ROS 2 has it."""

    def __str__(self) -> str:
        return f"{self.type}{self.array} {self.name}"


def schema_name(type_name: str) -> str | None:
    """What ROS 2 calls an LCM type, None if it has no such type.

    >>> schema_name("nav_msgs.Odometry")
    'nav_msgs/msg/Odometry'
    """
    cls = message_class(type_name)
    # a type that only travels as the bytes of another is none of ROS 2's
    if cls is None or type_name_of(cls) != type_name:
        return None
    package, _, name = ros_name(type_name).partition("/")
    return f"{package}/msg/{name}"


def ros_name(type_name: str) -> str:
    """The name of an LCM type as ROS 2 definitions write it, `nav_msgs/Odometry`."""
    return _TIMES.get(type_name) or type_name.replace(".", "/")


@lru_cache(maxsize=1024)
def ros_fields(type_name: str) -> tuple[RosField, ...]:
    """The fields of a type of dimos_lcm in the order of ROS 2; see `schema_name`."""
    cls: Any = message_class(type_name)
    lengths = {name for dims in cls.__dimensions__ for name in dims or ()}
    unsigned = _UNSIGNED.get(type_name, "").split()
    fields: list[RosField] = []
    for name, kind, dims in zip(cls.__slots__, cls.__typenames__, cls.__dimensions__, strict=True):
        if name in lengths or (type_name, name) in _ONLY_IN_LCM:
            continue
        ros_type = _OCTETS.get((type_name, name)) or _PRIMITIVES.get(kind)
        if ros_type is None:
            ros_type = ros_name(nested_type(type_name, kind))
        elif name in unsigned:
            ros_type = f"u{ros_type}"
        array = "" if not dims else "[]" if isinstance(dims[0], str) else f"[{dims[0]}]"
        fields.append(
            RosField("nanosec" if name == "nsec" else name.lower(), ros_type, array, name)
        )
        fields += parse_fields(_ADDED.get(type_name, {}).get(name, ""))
    return tuple(fields)


def nested_type(owner: str, kind: str) -> str:
    """The name of a type that a field of another says; one of the same package lacks the package.

    >>> nested_type("geometry_msgs.Pose", "Point")
    'geometry_msgs.Point'
    """
    return kind if "." in kind else f"{owner.partition('.')[0]}.{kind}"


def lcm_name(ros_type: str) -> str:
    """The LCM name of a nested type, `geometry_msgs/Point` or one of the two times."""
    return ros_type.replace("/", ".")


@lru_cache(maxsize=1024)
def definition(type_name: str) -> str:
    """The definition of a type followed by those of its parts, as rosbag2 writes it (`ros2msg`)."""
    parts = [
        f"MSG: {name}\n{_body(fields)}" if index else _body(fields)
        for index, (name, fields) in enumerate(_parts(type_name).items())
    ]
    return f"\n{_SEPARATOR}\n".join(parts) + "\n"


def _parts(type_name: str, *, ros1: bool = False) -> dict[str, tuple[RosField, ...]]:
    """The fields of a type and of everything in it, by the name that ROS gives each."""
    found: dict[str, tuple[RosField, ...]] = {}
    queue = [ros_name(type_name)]
    for name in queue:
        fields = fields_of_part(name)
        if ros1:
            fields = tuple(field for field in fields if field.lcm_name is not None)
            if name == "std_msgs/Header":
                fields = (RosField("seq", "uint32", ""), *fields)
        found[name] = fields
        queue += [field.type for field in fields if "/" in field.type and field.type not in queue]
    return found


def fields_of_part(ros_type: str) -> tuple[RosField, ...]:
    """The fields of a type by its name in a definition, whether or not LCM has it."""
    if ros_type in _ONLY_IN_ROS2:
        return tuple(parse_fields(_ONLY_IN_ROS2[ros_type]))
    return ros_fields(lcm_name(ros_type))


def _body(fields: tuple[RosField, ...]) -> str:
    return "\n".join(map(str, fields))


def parse_fields(text: str) -> list[RosField]:
    """The fields of one message definition, without comments, constants and defaults."""
    fields = []
    for line in text.splitlines():
        found = _FIELD.match(line.partition("#")[0].strip())
        if found and not found[0].endswith("="):
            array = found["array"] or ""
            fixed = array[1:-1].isdecimal()
            fields.append(
                RosField(found["name"], found["type"], array if fixed else array and "[]")
            )
    return fields


def parse_definition(name: str, text: str) -> dict[str, list[RosField]]:
    """The fields of a type and its parts by name, nested types with their package.

    Args:
        name: of the type itself, `nav_msgs/Odometry`.
        text: the definition, as `definition` writes it.
    """
    found: dict[str, list[RosField]] = {}
    for part in re.split(r"^=+\s*$", text, flags=re.MULTILINE):
        title = re.match(r"\s*MSG:\s*(\S+)", part)
        full = title[1].replace("/msg/", "/") if title else name
        body = part[title.end() :] if title else part
        found.setdefault(full, [_qualified(field, full) for field in parse_fields(body)])
    return found


def same_layout(type_name: str, text: str, *, ros1: bool = False) -> bool:
    """Whether messages with this definition have the fields that we know of an LCM type.

    Names must be the same but for their case; whether an integer has a sign need not.

    Args:
        ros1: the definition is one of ROS 1: headers have a `seq`, and what ROS 2 has added is
            not there.
    """
    if schema_name(type_name) is None:
        return False
    theirs = parse_definition(ros_name(type_name), text)
    return all(
        _layout(theirs.get(part, ())) == _layout(fields)
        for part, fields in _parts(type_name, ros1=ros1).items()
        if part in theirs or not part.startswith("builtin_interfaces/")
    )


def _layout(fields: Iterable[RosField]) -> list[tuple[str, str, str]]:
    return [
        (
            field.name.lower(),
            _OCTET_TYPES.get(field.type, field.type.removeprefix("u")),
            field.array,
        )
        for field in fields
    ]


def _qualified(field: RosField, owner: str) -> RosField:
    if field.type in _ROS_PRIMITIVES:
        return field
    package, _, name = field.type.replace("/msg/", "/").rpartition("/")
    if field.type in ("Header", "time", "duration"):
        package, name = {
            "Header": ("std_msgs", "Header"),
            "time": ("builtin_interfaces", "Time"),
            "duration": ("builtin_interfaces", "Duration"),
        }[field.type]
    return field._replace(type=f"{package or owner.partition('/')[0]}/{name}")


_OCTET_TYPES = dict.fromkeys(("bool", "byte", "char", "int8", "uint8"), "octet")
_ROS_PRIMITIVES = {*_PRIMITIVES.values(), "byte", "char", "uint16", "uint32", "uint64", "wstring"}

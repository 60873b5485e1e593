"""Numbers over time, as curves. A path holds the numbers that share a unit, and so an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dimos_record.errors import DecodeError
from dimos_record.messages import decode
from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Convert, Converter, Shown

MAX_CURVES = 64
"""More in one plot cannot be told apart."""
_AXES = ("x", "y", "z")


def curves(path: str, names: Sequence[str], values: Sequence[Any]) -> Shown:
    """Numbers of one unit at one moment, each with the name of its curve."""
    import rerun as rr

    return Shown(path, rr.Scalars(values), names=tuple(names))


def vector(name: str, values: Sequence[float]) -> Shown:
    """Curves of x, y and z, on a path of the vector's name."""
    return curves(name, [f"{name}.{axis}" for axis in _AXES], values)


def number(type_name: str) -> Convert:
    """A converter for a type whose only field is a number: std_msgs.Float64."""

    def convert(data: bytes) -> list[Shown]:
        return [curves("", ["data"], [float(decode(type_name, data).data)])]

    return convert


def numbers(type_name: str) -> Convert:
    """A converter for an array of numbers: std_msgs.Float32MultiArray."""

    def convert(data: bytes) -> list[Shown]:
        values = decode(type_name, data).data
        if len(values) > MAX_CURVES:
            raise DecodeError(
                f"The {type_name} has {len(values)} numbers, and only up to {MAX_CURVES} are "
                "shown as curves."
            )
        return [curves("", [str(i) for i in range(len(values))], list(values))]

    return convert


def span(type_name: str) -> Convert:
    """A converter for std_msgs.Time and Duration, in seconds."""

    def convert(data: bytes) -> list[Shown]:
        sec, nsec = Wire(type_name, data).unpack("ii")
        return [curves("", ["s"], [sec + nsec / 1e9])]

    return convert


def measurement(type_name: str, field: str) -> Convert:
    """A converter for a header and one measured number: sensor_msgs.Temperature."""

    def convert(data: bytes) -> list[Shown]:
        wire = Wire(type_name, data)
        wire.header()
        return [curves("", [field], wire.unpack("d"))]

    return convert


def vectors(type_name: str, fields: Sequence[str]) -> Convert:
    """A converter for vectors, behind a header or not: geometry_msgs.Twist."""
    has_header = type_name.endswith("Stamped") or type_name.startswith("sensor_msgs.")

    def convert(data: bytes) -> list[Shown]:
        wire = Wire(type_name, data)
        if has_header:
            wire.header()
        return [vector(field, wire.unpack("3d")) for field in fields]

    return convert


def imu(data: bytes) -> list[Shown]:
    """sensor_msgs.Imu: turn rates (rad/s), accelerations (m/s²), angles (rad) if it has them."""
    wire = Wire("sensor_msgs.Imu", data)
    wire.header()
    orientation = wire.unpack("4d")
    covariance = wire.unpack("9d")
    turn_rate = wire.unpack("3d")
    wire.unpack("9d")
    shown = [
        vector("angular_velocity", turn_rate),
        vector("linear_acceleration", wire.unpack("3d")),
    ]
    # ROS: an IMU that knows no orientation says -1 in its covariance.
    if covariance[0] != -1 and sum(part * part for part in orientation) != 0:
        shown.append(curves("angles", ["roll", "pitch", "yaw"], roll_pitch_yaw(*orientation)))
    return shown


def roll_pitch_yaw(x: float, y: float, z: float, w: float) -> tuple[float, float, float]:
    """Angles (rad) about x, y and z, turned in that order about fixed axes, of a quaternion."""
    square = x * x + y * y + z * z + w * w
    sine = max(-1.0, min(1.0, 2 * (w * y - z * x) / square))
    return (
        math.atan2(2 * (w * x + y * z), square - 2 * (x * x + y * y)),
        math.asin(sine),
        math.atan2(2 * (w * z + x * y), square - 2 * (y * y + z * z)),
    )


def joint_state(data: bytes) -> list[Shown]:
    """sensor_msgs.JointState: positions, velocities and efforts, named by their joints."""
    wire = Wire("sensor_msgs.JointState", data)
    lengths = wire.unpack("4i")
    wire.header()
    names = [wire.string() for _ in range(lengths[0])]
    shown = []
    for path, length in zip(("position", "velocity", "effort"), lengths[1:], strict=True):
        values = wire.array(">f8", length)
        if 0 < length <= MAX_CURVES:
            known = names if length == len(names) else [str(i) for i in range(length)]
            shown.append(curves(path, known, values.tolist()))
    return shown


def joy(data: bytes) -> list[Shown]:
    """sensor_msgs.Joy: axes and buttons by number."""
    wire = Wire("sensor_msgs.Joy", data)
    axes, buttons = wire.unpack("2i")
    wire.header()
    parts = {"axes": wire.array(">f4", axes), "buttons": wire.array(">i4", buttons)}
    return [
        curves(path, [f"{path}[{i}]" for i in range(len(values))], values.tolist())
        for path, values in parts.items()
        if 0 < len(values) <= MAX_CURVES
    ]


def battery(data: bytes) -> list[Shown]:
    """sensor_msgs.BatteryState: V, A, share of the charge (0 to 1) and °C; NaN is not measured."""
    wire = Wire("sensor_msgs.BatteryState", data)
    wire.unpack("2i")
    wire.header()
    voltage, temperature, current, _charge, _capacity, _design, percentage = wire.unpack("7f")
    values = {
        "voltage": voltage,
        "current": current,
        "percentage": percentage,
        "temperature": temperature,
    }
    return [curves(name, [name], [value]) for name, value in values.items() if value == value]


_INTEGERS = [f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)]
_NUMBERS = ["Float32", "Float64", "Byte", *_INTEGERS]
_MEASUREMENTS = {
    "sensor_msgs.FluidPressure": "fluid_pressure",
    "sensor_msgs.Illuminance": "illuminance",
    "sensor_msgs.RelativeHumidity": "relative_humidity",
    "sensor_msgs.Temperature": "temperature",
}
_VECTORS = {
    "geometry_msgs.Accel": ("linear", "angular"),
    "geometry_msgs.AccelStamped": ("linear", "angular"),
    "geometry_msgs.Twist": ("linear", "angular"),
    "geometry_msgs.TwistStamped": ("linear", "angular"),
    "geometry_msgs.TwistWithCovariance": ("linear", "angular"),
    "geometry_msgs.TwistWithCovarianceStamped": ("linear", "angular"),
    "geometry_msgs.Vector3": ("vector",),
    "geometry_msgs.Vector3Stamped": ("vector",),
    "geometry_msgs.Wrench": ("force", "torque"),
    "geometry_msgs.WrenchStamped": ("force", "torque"),
    "sensor_msgs.MagneticField": ("magnetic_field",),
}

CONVERTERS = {
    "sensor_msgs.BatteryState": Converter(
        battery, "plot", ("voltage", "current", "percentage", "temperature")
    ),
    "sensor_msgs.Imu": Converter(
        imu, "plot", ("angular_velocity", "linear_acceleration", "angles")
    ),
    "sensor_msgs.JointState": Converter(joint_state, "plot", ("position", "velocity", "effort")),
    "sensor_msgs.Joy": Converter(joy, "plot", ("axes", "buttons")),
    "std_msgs.Duration": Converter(span("std_msgs.Duration"), "plot", ("",)),
    "std_msgs.Time": Converter(span("std_msgs.Time"), "plot", ("",)),
    **{
        f"std_msgs.{name}": Converter(number(f"std_msgs.{name}"), "plot", ("",))
        for name in ("Bool", "Char", *_NUMBERS)
    },
    **{
        f"std_msgs.{name}MultiArray": Converter(
            numbers(f"std_msgs.{name}MultiArray"), "plot", ("",)
        )
        for name in _NUMBERS
    },
    **{
        name: Converter(measurement(name, field), "plot", ("",))
        for name, field in _MEASUREMENTS.items()
    },
    **{name: Converter(vectors(name, fields), "plot", fields) for name, fields in _VECTORS.items()},
}

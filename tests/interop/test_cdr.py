"""LCM bytes to CDR and back, against two other implementations of CDR."""

from __future__ import annotations

import struct
from itertools import repeat
from typing import Any

import pytest
from dimos_lcm.nav_msgs import OccupancyGrid, Path
from dimos_lcm.sensor_msgs import Image, LaserScan
from mcap.records import Schema
from mcap_ros2.decoder import DecoderFactory
from rosbags.typesys import Stores, get_typestore

from dimos_record.errors import DecodeError
from dimos_record.interop.cdr import CdrCodec, cdr_codec
from dimos_record.interop.ros2_definitions import (
    RosField,
    definition,
    parse_definition,
    ros_name,
    same_layout,
    schema_name,
)
from dimos_record.messages import encode, known_types

from .lcm_messages import RandomMessages, for_rosbags
from .ros2_files import differences

pytestmark = pytest.mark.once

HUMBLE = get_typestore(Stores.ROS2_HUMBLE)
NOETIC = get_typestore(Stores.ROS1_NOETIC)
IN_HUMBLE = [name for name in known_types() if name.replace(".", "/msg/") in HUMBLE.types]
IN_NOETIC = [
    name
    for name in IN_HUMBLE
    if name.replace(".", "/msg/") in NOETIC.types and not name.startswith("builtin_interfaces.")
]


def codec_of(type_name: str) -> CdrCodec:
    codec = cdr_codec(type_name)
    assert codec is not None
    return codec


def packages(names: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.split(".")[0], []).append(name)
    return found


@pytest.mark.parametrize(("package", "names"), packages(known_types()).items())
def test_every_type_comes_back_byte_for_byte(package: str, names: list[str]) -> None:
    for name in names:
        codec = codec_of(name)
        for seed in range(12):
            data = encode(RandomMessages(seed, seq=41).of(name))
            cdr = codec.to_cdr(data)
            assert set(cdr.seqs) <= {41}
            assert codec.to_lcm(cdr.data, lambda: repeat(41)) == data, name


@pytest.mark.parametrize(("package", "names"), packages(known_types()).items())
def test_mcap_ros2_decodes_every_type_by_our_definition(package: str, names: list[str]) -> None:
    for name in names:
        schema = Schema(1, definition(name).encode(), "ros2msg", schema_name(name) or "")
        decode = DecoderFactory().decoder_for("cdr", schema)
        assert decode is not None
        for seed in range(4):
            message = RandomMessages(seed).of(name)
            decoded = decode(codec_of(name).to_cdr(encode(message)).data)
            if name in ("shape_msgs.SolidPrimitive", "std_msgs.ByteMultiArray"):
                continue  # one has a field more, of the other the octets are compared elsewhere
            if not name.startswith("visualization_msgs."):  # its Marker has fields more
                assert differences(decoded, message) == [], name


@pytest.mark.parametrize(("package", "names"), packages(IN_HUMBLE).items())
def test_the_bytes_are_those_that_rosbags_writes(package: str, names: list[str]) -> None:
    for name in names:
        ros = name.replace(".", "/msg/")
        for seed in range(4):
            message = RandomMessages(seed).of(name)
            ours = codec_of(name).to_cdr(encode(message)).data
            theirs = bytes(HUMBLE.serialize_cdr(for_rosbags(HUMBLE, ros, message), ros))
            assert ours == theirs, name


@pytest.mark.parametrize(("package", "names"), packages(IN_HUMBLE).items())
def test_definitions_are_those_of_ros_2(package: str, names: list[str]) -> None:
    for name in names:
        text, _ = HUMBLE.generate_msgdef(name.replace(".", "/msg/"), ros_version=2)
        theirs = parse_definition(ros_name(name), text)
        ours = parse_definition(ros_name(name), definition(name))
        assert _comparable(ours) == _comparable(theirs)


def _comparable(parts: dict[str, list[RosField]]) -> dict[str, list[tuple[str, str, str]]]:
    return {
        part: [(field.name, _char(field.type), field.array) for field in fields]
        for part, fields in parts.items()
    }


def _char(ros_type: str) -> str:
    """rosbags calls every octet without sign the same."""
    return {"byte": "uint8", "char": "uint8"}.get(ros_type, ros_type)


@pytest.mark.parametrize(("package", "names"), packages(IN_NOETIC).items())
def test_messages_of_ros_1_keep_the_seq_of_every_header(package: str, names: list[str]) -> None:
    for name in names:
        ros = name.replace(".", "/msg/")
        text, _ = NOETIC.generate_msgdef(ros)
        assert same_layout(name, text, ros1=True), name
        for seed in range(4):
            message = RandomMessages(seed, seq=seed + 70_000).of(name)
            raw = bytes(NOETIC.serialize_ros1(for_rosbags(NOETIC, ros, message), ros))
            assert codec_of(name).from_ros1(raw) == encode(message), name


def test_numbers_below_0_that_ros_2_has_not_are_refused() -> None:
    with pytest.raises(DecodeError, match="below 0"):
        codec_of("sensor_msgs.Image").to_cdr(encode(Image(width=-1)))
    with pytest.raises(DecodeError, match="below 0"):
        codec_of("std_msgs.UInt32MultiArray").to_cdr(
            encode(_array("std_msgs.UInt32MultiArray", [1, -1]))
        )


def _array(type_name: str, values: list[int]) -> Any:
    message = RandomMessages(0).of(type_name)
    message.data, message.data_length = values, len(values)
    return message


def test_numbers_too_large_for_lcm_are_refused() -> None:
    with pytest.raises(DecodeError):
        codec_of("std_msgs.UInt32").to_lcm(b"\0\1\0\0\0\0\0\x80", lambda: repeat(0))


@pytest.mark.parametrize("name", ["sensor_msgs.JointState", "nav_msgs.Path", "sensor_msgs.Image"])
def test_messages_that_end_early_are_refused(name: str) -> None:
    codec = codec_of(name)
    data = encode(RandomMessages(5).of(name))
    cdr = codec.to_cdr(data).data
    for cut in range(1, len(data)):
        with pytest.raises(DecodeError):
            codec.to_cdr(data[:-cut])
    for cut in range(1, len(cdr)):
        with pytest.raises(DecodeError):
            codec.to_lcm(cdr[:-cut], lambda: repeat(0))


def test_other_types_and_bytes_behind_the_end_are_refused() -> None:
    codec = codec_of("sensor_msgs.Image")
    with pytest.raises(DecodeError, match="no sensor_msgs"):
        codec.to_cdr(encode(Path()))
    with pytest.raises(DecodeError, match="behind the end"):
        codec.to_cdr(encode(Image()) + b"\0")


def test_every_bit_of_a_nan_arrives() -> None:
    signalling = bytes.fromhex("7fa00001")
    scan = encode(LaserScan(range_min=1.25, ranges=[1.25], ranges_length=1))
    data = scan.replace(struct.pack(">f", 1.25), signalling)
    assert data.count(signalling) == 2
    codec = codec_of("sensor_msgs.LaserScan")
    assert codec.to_lcm(codec.to_cdr(data).data, lambda: repeat(0)) == data


def test_a_map_of_a_million_cells_is_copied_whole() -> None:
    cells = [(i % 202) - 101 for i in range(1_000_000)]
    data = encode(OccupancyGrid(data=cells, data_length=len(cells)))
    codec = codec_of("nav_msgs.OccupancyGrid")
    cdr = codec.to_cdr(data).data
    assert cdr[-1_000_000:] == struct.pack("1000000b", *cells)
    assert codec.to_lcm(cdr, lambda: repeat(0)) == data


def test_types_that_ros_2_lacks_have_no_codec() -> None:
    assert cdr_codec("dimos_msgs.Gait") is None
    assert cdr_codec("nav_msgs.LineSegments3D") is None  # which travels as the bytes of a Path

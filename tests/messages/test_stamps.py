from __future__ import annotations

import struct

import pytest

from dimos_record.errors import DecodeError
from dimos_record.messages import (
    decode,
    encode,
    layout,
    message_class,
    registry,
    shift_stamps,
    stamp_ns,
    stamp_reader,
    stamp_shifter,
    stamps,
)

from .samples import NS, stamped

POSE = "geometry_msgs.PoseStamped"
NOW = 1_700_000_000 * NS + 123_456_789


def transform(stamp_ns: int, parent: str = "world", child: str = "base"):
    return stamped("geometry_msgs.TransformStamped", stamp_ns, child_frame_id=child)


def tf_bytes(*stamps_ns: int) -> bytes:
    items = [transform(stamp) for stamp in stamps_ns]
    return encode(message_class("tf2_msgs.TFMessage")(len(items), items))


@pytest.mark.parametrize("type_name", [POSE, "sensor_msgs.Image", "sensor_msgs.CameraInfo"])
def test_a_stamp_is_nanoseconds_since_the_epoch(type_name):
    assert stamp_ns(type_name, encode(stamped(type_name, NOW))) == NOW


def test_a_stamp_that_was_not_set_is_none():
    assert stamp_ns(POSE, encode(stamped(POSE, 0))) is None


def test_a_type_without_header_has_no_reader_and_no_shifter():
    for type_name in ("geometry_msgs.Twist", "my_msgs.Thing", None):
        assert stamp_reader(type_name) is None
        assert stamp_shifter(type_name) is None
        assert stamp_ns(type_name, b"") is None
        assert shift_stamps(type_name, b"as it is", NS) == b"as it is"


def test_a_tf_message_has_the_stamp_of_its_first_transform():
    assert stamp_ns("tf2_msgs.TFMessage", tf_bytes(NOW, NOW + 5)) == NOW
    assert stamp_ns("tf2_msgs.TFMessage", tf_bytes()) is None


def test_bytes_of_another_type_have_no_stamp():
    data = encode(stamped(POSE, NOW))
    assert stamp_ns("sensor_msgs.Imu", data) is None
    assert stamp_ns(POSE, b"garbage " * 10) is None


def test_a_type_that_cannot_know_where_its_header_is_looks_for_it(monkeypatch):
    """No type of dimos_lcm has a field of variable size before its header."""

    class Named:
        __slots__ = ("names_length", "title", "names", "header")  # noqa: RUF023 (order of the bytes)
        __typenames__ = ("int16_t", "string", "string", "std_msgs.Header")
        __dimensions__ = (None, None, ["names_length"], None)

    known = registry.message_class
    monkeypatch.setattr(
        layout, "message_class", lambda name: Named if name == "t.N" else known(name)
    )
    monkeypatch.setattr(layout, "fingerprint", lambda _name: 0x0102030405060708)
    monkeypatch.setattr(stamps, "message_class", lambda _name: Named)
    header = struct.pack(">iiiI", 9, 12, 34, 6) + b"world\0"
    data = (
        struct.pack(">Qh", 0x0102030405060708, 2)
        + struct.pack(">I", 6) + b"title\0"
        + struct.pack(">I", 2) + b"a\0"
        + struct.pack(">I", 3) + b"bc\0"
        + header
    )  # fmt: skip
    read, shift = stamp_reader.__wrapped__("t.N"), stamp_shifter.__wrapped__("t.N")
    assert read(data) == 12 * NS + 34
    assert read(shift(data, NS)) == 13 * NS + 34
    for length in range(len(data) - len("....world\0")):
        assert read(data[:length]) is None
    with pytest.raises(DecodeError, match=r"t\.N"):
        shift(data[:30], NS)
    negative = data[:8] + struct.pack(">h", -2) + data[10:]
    assert read(negative) is None


def test_every_header_of_a_path_moves_and_nothing_else_does():
    path = stamped("nav_msgs.Path", NOW, poses_length=2)
    path.poses = [stamped(POSE, NOW + 1), stamped(POSE, 0)]
    before = encode(path)
    after = shift_stamps("nav_msgs.Path", before, 2 * NS)
    moved = decode("nav_msgs.Path", after)
    assert moved.header.stamp.sec == path.header.stamp.sec + 2
    assert moved.poses[0].header.stamp.sec == path.poses[0].header.stamp.sec + 2
    assert moved.poses[1].header.stamp.sec == 0
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert len(changed) == 2


def test_times_outside_headers_stay():
    reference = stamped("sensor_msgs.TimeReference", NOW)
    reference.time_ref = message_class("std_msgs.Time")(11, 22)
    moved = decode(
        "sensor_msgs.TimeReference",
        shift_stamps("sensor_msgs.TimeReference", encode(reference), NS),
    )
    assert (moved.time_ref.sec, moved.time_ref.nsec) == (11, 22)
    assert moved.header.stamp.sec == 1_700_000_001


def test_nanoseconds_carry_into_seconds_and_back():
    data = encode(stamped(POSE, 5 * NS + 900_000_000))
    assert decode(POSE, shift_stamps(POSE, data, 200_000_000)).header.stamp.sec == 6
    back = decode(POSE, shift_stamps(POSE, data, -5_950_000_000))
    assert (back.header.stamp.sec, back.header.stamp.nsec) == (-1, 950_000_000)


def test_a_stamp_stays_within_32_bit_seconds():
    data = encode(stamped(POSE, NOW))
    late = decode(POSE, shift_stamps(POSE, data, 10**19)).header.stamp
    assert (late.sec, late.nsec) == (2**31 - 1, 999_999_999)
    early = decode(POSE, shift_stamps(POSE, data, -(10**19))).header.stamp
    assert (early.sec, early.nsec) == (-(2**31), 0)


def test_a_set_stamp_never_becomes_an_unset_one():
    assert stamp_ns(POSE, shift_stamps(POSE, encode(stamped(POSE, NOW)), -NOW)) == 1


def test_shifting_bytes_of_another_type_is_an_error():
    data = encode(message_class("geometry_msgs.Pose")())
    with pytest.raises(DecodeError, match=r"not a geometry_msgs\.PoseStamped"):
        shift_stamps(POSE, data, NS)


def test_shifting_truncated_bytes_is_an_error():
    with pytest.raises(DecodeError, match="truncated"):
        shift_stamps("tf2_msgs.TFMessage", tf_bytes(NOW, NOW)[:-1], NS)


def test_the_original_bytes_are_not_touched():
    data = encode(stamped(POSE, NOW))
    copy = bytes(bytearray(data))
    shift_stamps(POSE, data, NS)
    assert data == copy


def test_bytes_behind_an_empty_array_of_messages_are_no_stamp():
    assert stamp_ns("tf2_msgs.TFMessage", tf_bytes() + bytes(range(1, 60))) is None

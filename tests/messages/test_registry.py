from __future__ import annotations

import subprocess
import sys

import pytest

from dimos_record.errors import CodecError, DecodeError, OptionError
from dimos_record.messages import (
    decode,
    encode,
    fingerprint,
    message_class,
    stamp_reader,
    type_name_of,
)

from .samples import stamped


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_imports_neither_dimos_lcm_nor_numpy():
    code = "import sys, dimos_record.messages; print({'dimos_lcm', 'numpy'} & set(sys.modules))"
    assert run_python(code) == "set()"


def test_a_type_imports_only_its_own_package_of_dimos_lcm():
    code = (
        "import sys; from dimos_record.messages import message_class\n"
        "assert message_class('geometry_msgs.Pose')\n"
        "print('dimos_lcm.geometry_msgs' in sys.modules, 'dimos_lcm.nav_msgs' in sys.modules)"
    )
    assert run_python(code) == "True False"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "Image",
        "sensor_msgs.",
        ".Image",
        "sensor_msgs.Nothing",
        "sensor_msgs.Image.lcm_decode",
        "sensor_msgs.__doc__",
        "sensor_msgs.std_msgs",
        "nothing_msgs.Image",
        "os.system",
        "../sensor_msgs.Image",
        "sensor_msgs/Image",
        "foxglove_bridge.bridge",
        "generated.python_lcm_msgs",
    ],
)
def test_other_names_are_not_types(name):
    assert message_class(name) is None
    assert fingerprint(name) is None
    assert stamp_reader(name) is None


def test_a_name_from_the_network_does_not_import_programs():
    code = (
        "import sys; from dimos_record.messages import message_class\n"
        "message_class('foxglove_bridge.FoxgloveBridge')\n"
        "print('dimos_lcm.foxglove_bridge' in sys.modules)"
    )
    assert run_python(code) == "False"


def test_a_message_decodes_to_its_class():
    data = encode(stamped("geometry_msgs.PoseStamped", 5))
    message = decode("geometry_msgs.PoseStamped", data)
    assert type(message) is message_class("geometry_msgs.PoseStamped")
    assert (message.header.stamp.nsec, message.header.frame_id) == (5, "world")


def test_a_channel_without_a_type_does_not_decode():
    with pytest.raises(DecodeError, match="no message type"):
        decode(None, b"anything")


def test_an_unknown_type_does_not_decode():
    with pytest.raises(DecodeError, match=r"my_msgs\.Thing .*no such type"):
        decode("my_msgs.Thing", b"12345678")


def test_bytes_of_another_type_do_not_decode():
    data = encode(message_class("geometry_msgs.Pose")())
    with pytest.raises(DecodeError, match=r"not a geometry_msgs\.Twist, or one of another version"):
        decode("geometry_msgs.Twist", data)


def test_an_image_without_its_last_pixels_does_not_decode():
    data = encode(stamped("sensor_msgs.Image", 5, data=bytes(100), data_length=100))
    assert decode("sensor_msgs.Image", data).data_length == 100
    with pytest.raises(DecodeError, match=r"sensor_msgs\.Image is truncated"):
        decode("sensor_msgs.Image", data[:-1])


def test_a_wrong_field_is_an_error_that_names_the_type():
    with pytest.raises(CodecError, match=r"std_msgs\.Int32 cannot be encoded"):
        encode(message_class("std_msgs.Int32")(data="one"))


def test_an_array_shorter_than_its_length_field_is_an_error():
    path = stamped("nav_msgs.Path", 1, poses_length=2, poses=[])
    with pytest.raises(CodecError, match=r"nav_msgs\.Path .*_length"):
        encode(path)


class RobotImage:
    """A message class of another library, as dimos has them."""

    msg_name = "sensor_msgs.Image"

    def lcm_encode(self) -> bytes:
        return encode(stamped("sensor_msgs.Image", 7))


def test_a_message_of_another_library_encodes_under_its_stated_name():
    assert type_name_of(RobotImage()) == "sensor_msgs.Image"
    assert decode("sensor_msgs.Image", encode(RobotImage())).header.stamp.nsec == 7


def test_a_subclass_has_the_type_of_its_base():
    class MyPose(message_class("geometry_msgs.PoseStamped")):
        pass

    assert type_name_of(MyPose()) == "geometry_msgs.PoseStamped"


def test_a_dimos_type_that_travels_as_another_decodes_as_that():
    path = encode(stamped("nav_msgs.Path", 7))
    assert decode("nav_msgs.LineSegments3D", path).header.stamp.nsec == 7
    assert stamp_reader("nav_msgs.LineSegments3D")(path) == 7


def test_a_nested_message_has_a_type_name():
    tf = message_class("tf2_msgs.TFMessage")
    assert type_name_of(tf._get_field_type("transforms")) == "geometry_msgs.TransformStamped"


@pytest.mark.parametrize("thing", [None, 3, "text", b"bytes", object, {}])
def test_other_objects_are_not_messages(thing):
    with pytest.raises(OptionError, match="is not a message"):
        type_name_of(thing)
    with pytest.raises(OptionError, match="is not a message"):
        encode(thing)


def test_a_number_that_a_float_cannot_hold_is_named() -> None:
    message = message_class("std_msgs.Float32")(data=1e300)
    with pytest.raises(CodecError, match=r"std_msgs\.Float32 cannot be encoded"):
        encode(message)

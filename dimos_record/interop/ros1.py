"""ROS 1 messages into the LCM messages of the same name.

Where the definition in the bag is the one that we know, the bytes are copied (`cdr.py`), with the
`seq` of every header. Else they become ROS 2 messages first, which loses it.
"""

from __future__ import annotations

from dimos_record.errors import DecodeError, MissingExtra, reason
from dimos_record.interop.cdr import CdrCodec, cdr_codec
from dimos_record.interop.ros1_extent import Ros1Extent
from dimos_record.interop.ros2 import Converted, Ros2Converter, lcm_type_name
from dimos_record.interop.ros2_definitions import same_layout

_RENAMED = {"tf.tfMessage": "tf2_msgs.TFMessage"}
"""Types that have moved to another package since."""

_HEADER = "std_msgs/msg/Header"
_NO_SEQ = "'seq' of the headers is not taken over, since the definition is not the known one"


def ros1_type_name(name: str) -> str:
    """The LCM name of a ROS 1 type, `nav_msgs/Odometry` or as `rosbags` writes it."""
    type_name = lcm_type_name(name)
    return _RENAMED.get(type_name, type_name)


class Ros1Converter:
    """Turns the messages of one ROS 1 definition into LCM bytes.

    Args:
        name: the type, `nav_msgs/Odometry` or as `rosbags` writes it, `nav_msgs/msg/Odometry`.
        definition: the message definition with those of its parts.

    Raises:
        MissingExtra: the definition is another than the known one, and the package that decodes
            those is not installed.
        DecodeError: `dimos_lcm` has no type of this name, or the definition cannot be read.
    """

    def __init__(self, name: str, definition: str) -> None:
        self.type_name = ros1_type_name(name)
        self._codec: CdrCodec | None = None
        self._by_ros2: _ByRos2 | None = None
        if same_layout(self.type_name, definition, ros1=True):
            self._codec = cdr_codec(self.type_name)
        else:
            self._by_ros2 = _ByRos2(name, definition, self.type_name)

    def convert(self, data: bytes) -> Converted:
        """Convert one message.

        Raises:
            DecodeError: the bytes are not a message of this definition, or a value has no equal in
                the LCM type.
        """
        if self._codec is not None:
            return Converted(self._codec.from_ros1(data), ())
        if self._by_ros2 is None:
            raise DecodeError("its message definition cannot be read")
        return self._by_ros2.convert(data)


class _ByRos2:
    """The way of other definitions: ROS 1 to CDR through `rosbags`, and CDR to LCM."""

    def __init__(self, name: str, definition: str, type_name: str) -> None:
        try:
            from rosbags.serde import SerdeError
            from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
        except ImportError:
            raise MissingExtra("importing ROS bags", "rosbags") from None
        name = name if "/msg/" in name else name.replace("/", "/msg/")
        self._name = name
        self._store = get_typestore(Stores.EMPTY)
        self._errors = SerdeError
        try:
            types = get_types_from_msg(definition, name)
            self._has_header = _HEADER in types
            if self._has_header:  # the conversion passes over the seq, and expects no such field
                constants, fields = types[_HEADER]
                types[_HEADER] = (constants, [field for field in fields if field[0] != "seq"])
            self._extent = Ros1Extent(types, name)
            self._store.register(types)
            text, _ = self._store.generate_msgdef(name, ros_version=2)
        except (TypesysError, KeyError, ValueError) as error:
            raise DecodeError(f"its message definition cannot be read: {reason(error)}") from error
        self._converter = Ros2Converter(name, text.encode(), type_name)

    def convert(self, data: bytes) -> Converted:
        self._extent.check(data)
        try:
            cdr = bytes(self._store.ros1_to_cdr(data, self._name))
        except self._errors as error:
            raise DecodeError(
                f"the bytes do not decode as the definition says: {reason(error)}"
            ) from error
        converted = self._converter.convert(cdr)
        notes = (_NO_SEQ,) if self._has_header else ()
        return Converted(converted.data, (*converted.notes, *notes))

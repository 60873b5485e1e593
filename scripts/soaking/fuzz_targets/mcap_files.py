"""MCAP files, imported.

With a first byte of 1 to 4 the input is not the file: it is what one of ROS 2 holds, its message,
its definition, the metadata of its channel, or a metadata record of our own export.
"""

from __future__ import annotations

import io
from typing import Any

from soaking.fuzz_targets.choices import Choices
from soaking.fuzz_targets.importing import check_import
from soaking.fuzz_targets.places import scratch

_NS = 1_763_649_785_000_000_000
_POSE = bytes.fromhex("00010000") + bytes(8) + b"\4\0\0\0map\0" + bytes(56)
_POINT = "float64 x\nfloat64 y\nfloat64 z"
_DEFINITION = (
    "std_msgs/Header header\ngeometry_msgs/Pose pose\n"
    + "=" * 80
    + "\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"
    + "=" * 80
    + "\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
    + "=" * 80
    + "\nMSG: geometry_msgs/Pose\nPoint position\nQuaternion orientation\n"
    + "=" * 80
    + f"\nMSG: geometry_msgs/Point\n{_POINT}\n"
    + "=" * 80
    + f"\nMSG: geometry_msgs/Quaternion\n{_POINT}\nfloat64 w\n"
)


def _file(
    message: bytes = _POSE,
    definition: str = _DEFINITION,
    metadata: dict[str, str] | None = None,
    records: tuple[tuple[str, dict[str, str]], ...] = (),
    **options: Any,
) -> bytes:
    from mcap.writer import Writer

    file = io.BytesIO()
    writer = Writer(file, **options)
    writer.start(profile="ros2")
    schema = writer.register_schema("geometry_msgs/msg/PoseStamped", "ros2msg", definition.encode())
    channel = writer.register_channel("/pose", "cdr", schema, metadata or {})
    for i in range(3):
        writer.add_message(channel, _NS + i, message, _NS)
    for name, record in records:
        writer.add_metadata(name, record)
    writer.finish()
    return file.getvalue()


def seeds() -> list[bytes]:
    """Files with and without chunks, index and checksums; parts of files."""
    from mcap.writer import CompressionType, IndexType

    plain = {"enable_crcs": False, "enable_data_crcs": False}
    none = CompressionType.NONE
    return [
        b"\0" + _file(compression=none, **plain),
        b"\0" + _file(use_chunking=False, **plain),
        b"\0" + _file(compression=CompressionType.LZ4, **plain),
        b"\0" + _file(compression=CompressionType.ZSTD),
        b"\0" + _file(index_types=IndexType.NONE, use_statistics=False, compression=none, **plain),
        b"\0" + _file(use_summary_offsets=False, repeat_channels=False, compression=none, **plain),
        b"\1" + _POSE,
        b"\2" + _DEFINITION.encode(),
        b"\2" + b"std_msgs/Header header\nfloat64[] pose\n",
        b"\3" + b"\0offered_qos_profiles\0- durability: transient_local",
        b"\4" + b"\0dimos_record.marker\0at_ns\05\0label\0fall\0data\0{}",
        b"\4" + b'\0dimos_record.observations\0until_ns\05\01 /pose\0{"pose": null}',
    ]


def run(data: bytes) -> None:
    """Import the bytes as a file, or a file with them in it."""
    with scratch() as folder:
        source = folder / "a.mcap"
        source.write_bytes(_made(data[:1], data[1:]))
        check_import(source)


def _made(kind: bytes, data: bytes) -> bytes:
    if kind == b"\1":
        return _file(data)
    if kind == b"\2":
        return _file(definition=data.decode("utf-8", "replace"))
    if kind == b"\3":
        return _file(metadata=_pairs(data[1:]))
    if kind == b"\4":
        name, _, rest = data[1:].decode("utf-8", "replace").partition("\0")
        known = ("dimos_record.channel", "dimos_record.type", "dimos_record.seq_of")
        number = Choices(data).below(len(known) + 1)
        own = {known[number]: rest[:40]} if number < len(known) else {}
        return _file(metadata=own, records=((name, _pairs(rest.encode())),))
    return data


def _pairs(data: bytes) -> dict[str, str]:
    words = data.decode("utf-8", "replace").split("\0")
    return dict(zip(words[::2], words[1::2], strict=False))

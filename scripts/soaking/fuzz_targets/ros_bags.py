"""ROS bags, imported: the files of ROS 1, the folders of ROS 2.

The first byte chooses what the rest is: a bag of ROS 1, the metadata.yaml of a folder, or its
database.
"""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path

from soaking.fuzz_targets.importing import check_import
from soaking.fuzz_targets.places import scratch

_NS = 1_763_649_785_000_000_000
_NAME = "geometry_msgs/msg/Point"


def seeds() -> list[bytes]:
    """One of each."""
    folder = dict(_ros2_files())
    database = next(content for name, content in folder.items() if name.endswith(".db3"))
    return [
        *(b"\0" + _ros1_file(compressed) for compressed in (False, True)),
        b"\1" + folder["metadata.yaml"],
        b"\2" + database,
    ]


@lru_cache(maxsize=2)
def _ros1_file(compressed: bool) -> bytes:
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS1_NOETIC)
    with scratch() as folder:
        writer = Writer(folder / "a.bag")
        if compressed:
            writer.set_compression(Writer.CompressionFormat.LZ4)
        with writer:
            connection = writer.add_connection("/point", _NAME, typestore=types)
            for i in range(3):
                writer.write(connection, _NS + i, bytes(24))
        return (folder / "a.bag").read_bytes()


@lru_cache(maxsize=1)
def _ros2_files() -> tuple[tuple[str, bytes], ...]:
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE)
    with scratch() as folder:
        with Writer(folder / "bag", version=9) as writer:
            connection = writer.add_connection("/point", _NAME, typestore=types)
            for i in range(3):
                writer.write(connection, _NS + i, b"\0\1\0\0" + bytes(24))
        return tuple((path.name, path.read_bytes()) for path in sorted((folder / "bag").iterdir()))


def run(data: bytes) -> None:
    """Import the bytes as a bag, or a bag with them in it."""
    with scratch() as folder:
        check_import(_made(folder, data[:1], data[1:]))


def _made(folder: Path, kind: bytes, data: bytes) -> Path:
    if kind not in (b"\1", b"\2"):
        (folder / "a.bag").write_bytes(data)
        return folder / "a.bag"
    bag = folder / "bag"
    shutil.rmtree(bag, ignore_errors=True)
    bag.mkdir()
    for name, content in _ros2_files():
        own = name.endswith(".yaml" if kind == b"\1" else ".db3")
        (bag / name).write_bytes(data if own else content)
    return bag

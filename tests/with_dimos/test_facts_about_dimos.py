"""What we rely on in dimos. A test fails here when an assumption about dimos stops being true."""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import dimos.memory.codecs
import dimos.msgs
import pytest
from dimos.memory.codecs.base import codec_from_id, codec_id, resolve_payload_type
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped

from dimos_record.errors import CodecError
from dimos_record.messages import fingerprint, message_class
from dimos_record.messages.registry import known_types
from dimos_record.store import dimos_types, schema
from dimos_record.store.codecs import codec_for
from dimos_record.store.connection import connect_in_memory
from dimos_record.store.dimos_types import payload_class, type_of_payload
from tests.with_dimos.messages import pose, trajectory

pytestmark = pytest.mark.dimos

TYPES = "dimos_record/store/dimos_types.py"


def test_it_is_the_dimos_that_we_know() -> None:
    found = metadata.version("dimos")
    assert found == "0.0.15", f"our knowledge is of dimos 0.0.15, and this is {found}"


def test_the_types_we_list_are_those_that_dimos_decodes() -> None:
    real = {name for name, cls in _dimos_classes().items() if _decodes(name, cls)}
    ours = dimos_types._DIMOS_TYPES
    assert ours == real, (
        f"{TYPES}: dimos no longer decodes {sorted(ours - real) or 'none'}, "
        f"and decodes now {sorted(real - ours) or 'none'}"
    )


def test_dimos_can_import_every_payload_class_that_we_write_down() -> None:
    for type_name in {*known_types(), *dimos_types._DIMOS_TYPES}:
        payload = payload_class(type_name)
        assert payload is not None
        assert isinstance(resolve_payload_type(payload), type), f"dimos cannot import {payload}"
        assert type_of_payload(payload) == type_name


def test_dimos_lays_out_the_types_we_say_in_its_own_way() -> None:
    mark = int.from_bytes(trajectory(0).lcm_encode()[:8], "big")
    assert {"trajectory_msgs.JointTrajectory": mark} == dimos_types._OWN_FINGERPRINTS, (
        f"{TYPES}: dimos's JointTrajectory now begins with {mark:#x}"
    )


def test_classes_travel_under_the_names_that_we_say() -> None:
    for payload, type_name in dimos_types._WIRE_TYPES.items():
        found = resolve_payload_type(payload).msg_name
        assert found == type_name, f"{TYPES}: messages of {payload} now travel as {found}"


def test_a_mislabelled_or_changed_type_is_not_promised_to_dimos() -> None:
    own, generated = (
        dimos_types._OWN_FINGERPRINTS["trajectory_msgs.JointTrajectory"],
        fingerprint("trajectory_msgs.JointTrajectory"),
    )
    module = "trajectory_msgs.JointTrajectory.JointTrajectory"
    assert payload_class("trajectory_msgs.JointTrajectory", own) == f"dimos.msgs.{module}"
    assert payload_class("trajectory_msgs.JointTrajectory", generated) == f"dimos_lcm.{module}"
    assert payload_class("trajectory_msgs.JointTrajectory", 1) is None
    assert payload_class("sensor_msgs.Imu", 1) is None


def test_the_columns_of_a_stream_are_those_of_dimos(
    tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    path = tmp_path / "theirs.db"
    open_store(path).stream("pose", PoseStamped)
    theirs = sqlite3.connect(path)
    ours = connect_in_memory()
    schema.create_stream(ours, "pose")
    for table in ("pose", "pose_blob"):
        expected = _columns(theirs, table)
        found = _columns(ours, table)[: len(expected)]
        assert found == expected, f"dimos's table {table} has other columns than ours"
    theirs.close()
    ours.close()


def test_empty_tags_are_the_byte_that_we_write(
    tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    path = tmp_path / "theirs.db"
    open_store(path).stream("pose", PoseStamped).append(pose(0), ts=1.0)
    connection = sqlite3.connect(path)
    (tags,) = connection.execute("SELECT tags FROM pose").fetchone()
    connection.close()
    assert tags == b"\x0c", "SQLite's empty JSONB object is another byte now"
    assert "x'0C'" in schema.DIMOS_COLUMNS


def test_the_codec_ids_are_those_of_dimos() -> None:
    folder = Path(next(iter(dimos.memory.codecs.__path__)))
    theirs = {path.stem for path in folder.glob("*.py")} - {"base", "__init__"}
    assert theirs == {"jpeg", "json", "lcm", "lz4", "pickle"}, "dimos has other codecs now"
    payloads = {"json": "std_msgs.String", "jpeg": "sensor_msgs.Image"}
    for our_id in ("lcm", "lz4+lcm", "jpeg", "json", "pickle"):
        type_name = payloads.get(our_id, "sensor_msgs.Imu")
        codec = codec_from_id(our_id, payload_class(type_name) or "")
        assert codec_id(codec) == our_id, f"dimos calls the codec {our_id} {codec_id(codec)} now"
        codec_for(our_id, "/any")
    with pytest.raises(CodecError):
        codec_for("gzip+lcm", "/any")


def _dimos_classes() -> dict[str, Any]:
    """dimos's message classes by type name: `geometry_msgs.Pose` from dimos.msgs.geometry_msgs."""
    root = Path(next(iter(dimos.msgs.__path__)))
    found = {}
    for path in root.glob("*_msgs/[A-Z]*.py"):
        name = f"{path.parent.name}.{path.stem}"
        cls = getattr(importlib.import_module(f"dimos.msgs.{name}"), path.stem, None)
        if callable(getattr(cls, "lcm_decode", None)):
            found[name] = cls
    return found


def _decodes(type_name: str, cls: Any) -> bool:
    """Whether a class of dimos decodes what travels under its name."""
    generated = message_class(type_name)
    if generated is None or type_name in dimos_types._OWN_FINGERPRINTS:
        return True  # dimos alone defines what that is
    message = generated()
    if type_name == "sensor_msgs.Image":
        message.encoding = "mono8"
    elif type_name == "sim_msgs.Contacts":
        message.data = '{"contacts": [], "ts": 0}'
    try:
        cls.lcm_decode(message.lcm_encode())
    except (AttributeError, ValueError):
        return False
    return True


def _columns(connection: sqlite3.Connection, table: str) -> list[tuple[str, str, int, int]]:
    """Name, type, NOT NULL and place in the primary key of a table's columns."""
    rows = connection.execute(f'PRAGMA table_info("{table}")')
    return [(row[1], row[2], row[3], row[5]) for row in rows]

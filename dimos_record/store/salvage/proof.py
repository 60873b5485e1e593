"""Whether a message that was found in a damaged file is the one that was recorded."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from dimos_record.errors import CodecError, DecodeError, MissingExtra
from dimos_record.messages import stamp_ns
from dimos_record.messages.layout import FINGERPRINT_BYTES, whole
from dimos_record.store import jsonb, schema
from dimos_record.store.base import StreamInfo
from dimos_record.store.checksum import checksum, same, seed_of
from dimos_record.store.codecs import PLAIN, codec_for
from dimos_record.store.meta import POSE_COLUMNS
from dimos_record.store.salvage.btree import Record

COLUMNS = [column.split()[0] for column in schema.DIMOS_COLUMNS.split(", ")] + [
    column.split()[0] for column in schema.OUR_COLUMNS
]
"""The columns of a stream, where the file does not tell."""

_STEP_NS = 1000
"""How far a float of seconds can be from the nanoseconds that it stands for."""
_LATEST_S = 9.2e9
"""Where 64 bits of nanoseconds end."""
_NO_TAGS = b"\x0c"


class MessageRow(NamedTuple):
    """The row of a message, without its payload."""

    id: int
    ts: float
    ts_ns: int
    seq: int
    stamp_ns: int | None
    crc: int | None
    value: int | float | None = None
    pose: tuple[float, ...] | None = None
    tags: bytes | str | None = _NO_TAGS


def to_row(values: Record, columns: Sequence[str]) -> MessageRow | None:
    """The row of a message in a record; None if it cannot be one.

    Rows that dimos wrote get receive time and place from what they have.
    """
    found = dict(zip(columns, values, strict=False))
    number, ts = found.get("id"), _number(found.get("ts"))
    if len(values) < len(COLUMNS) - len(schema.OUR_COLUMNS) or len(values) > len(columns):
        return None
    if not isinstance(number, int) or number < 1:
        return None
    ts_ns, seq, stamp, crc = (found.get(name) for name in ("ts_ns", "seq", "stamp_ns", "crc"))
    if not all(one is None or isinstance(one, int) for one in (ts_ns, seq, stamp, crc)):
        return None
    if crc is not None and ts_ns is not None:
        ts = ts_ns / 10**9  # the checksum tells whether it is right
    if ts is None or abs(ts) > _LATEST_S:
        return None
    if ts_ns is None:
        ts_ns = round(ts * 1e9)
    if abs(ts * 1e9 - ts_ns) > _STEP_NS:
        return None
    pose = [_number(found.get(name)) for name in POSE_COLUMNS]
    return MessageRow(
        number,
        float(ts),
        ts_ns,
        number if seq is None else seq,
        stamp,
        crc,
        _number(found.get("value")),
        None if None in pose else tuple(float(one or 0) for one in pose),
        _tags(found.get("tags")),
    )


def spooled_row(values: Record, columns: Sequence[str]) -> tuple[int, MessageRow, bytes] | None:
    """Topic number, row and payload of a record of the spool; None if it cannot be one."""
    found = dict(zip(columns, values, strict=False))
    numbers = [found.get(name) for name in ("topic", "id", "ts_ns", "seq")]
    stamp, crc, data = found.get("stamp_ns"), found.get("crc"), found.get("data")
    if not all(isinstance(one, int) for one in numbers) or not isinstance(data, bytes):
        return None
    if not all(one is None or isinstance(one, int) for one in (stamp, crc)):
        return None
    topic, number, ts_ns, seq = (int(one or 0) for one in numbers)
    return topic, MessageRow(number, ts_ns / 1e9, ts_ns, seq, stamp, crc), data


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _tags(stored: Any) -> bytes | str | None:
    try:
        readable = stored is None or isinstance(jsonb.loads(stored), dict)
    except (jsonb.BadJsonb, TypeError, AttributeError):
        readable = False
    return stored if readable else _NO_TAGS


class Judge:
    """Tells for the messages of one stream whether they are whole.

    A checksum proves it. Without one (files of before version 4, rows of dimos's) a message is
    believed if its bytes are a message of the stream's type from the first to the last, with the
    stamp that its row has; a changed number inside it would go unnoticed.
    """

    def __init__(self, info: StreamInfo) -> None:
        self.info = info
        self._seed = seed_of(info.name)
        self._can_decode = _is_known(info.codec)
        self._plan = whole(info.type_name) if info.type_name else None

    def expected(self, row: MessageRow) -> int | None:
        """The CRC-32 that the payload of a row must have; None where the row has no checksum."""
        if row.crc is None:
            return None
        return (row.crc ^ checksum(self._seed, row.id, row.seq, row.ts_ns, b"")) & 0xFFFFFFFF

    def is_whole(self, row: MessageRow, data: bytes) -> bool:
        """Whether a row and a payload are a message as it was recorded."""
        if row.crc is not None:
            return same(row.crc, checksum(self._seed, row.id, row.seq, row.ts_ns, data))
        return self._looks_right(row, data)

    def wire(self, data: bytes) -> bytes | None:
        """The bytes that were on the wire, where that can be told without a loss."""
        codec = self.info.codec
        if codec in PLAIN or codec == "jpeg":
            return data
        try:
            return codec_for(codec, self.info.topic).decode(data)
        except (CodecError, MissingExtra, UnicodeError, struct.error):
            return None

    def stamp(self, row: MessageRow, data: bytes) -> int | None:
        """The time in the message's own header."""
        wire = self.wire(data)
        return row.stamp_ns if wire is None else stamp_ns(self.info.type_name, wire)

    def _looks_right(self, row: MessageRow, data: bytes) -> bool:
        wire, info = self.wire(data), self.info
        if wire is None:
            return not self._can_decode  # then nobody can tell
        if info.codec == "pickle" or self._plan is None:
            return True
        mark = int.from_bytes(wire[:FINGERPRINT_BYTES], "big")
        if info.fingerprint not in (None, mark):
            return False
        if mark != self._plan.fingerprint:
            return True  # the channel names another type than it has: nobody knows this one
        try:
            return self._plan.check(wire) == len(wire) and row.stamp_ns in (
                None,
                stamp_ns(info.type_name, wire),
            )
        except DecodeError:
            return False


def _is_known(codec: str) -> bool:
    try:
        codec_for(codec, "")
    except (CodecError, MissingExtra):
        return False
    return True

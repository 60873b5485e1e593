"""Checksums of messages, which prove that one was read as it was written.

SQLite has none of its own: a byte that a disk has changed inside a payload is read as if it were
right. So every row has one, over its payload, its stream, its number, its place and its time.
"""

from __future__ import annotations

import struct
from zlib import crc32

_SIGN, _BITS = 2**31, 2**32 - 1

_pack_place = struct.Struct(">qqq").pack


def seed_of(stream: str) -> int:
    """What the checksums of a stream start from."""
    return crc32(stream.encode())


def checksum(seed: int, number: int, seq: int, ts_ns: int, data: bytes) -> int:
    """The checksum of a message: 32 bits, with a sign, which SQLite stores in fewer bytes.

    It is the CRC-32 of the stored payload, exclusive-or that of the UTF-8 name of the stream
    followed by number, place and time as 64-bit big-endian integers. So a message can get
    another number, place or time without a look at its payload. Older releases stored it without
    sign: compare with `same`.

    Args:
        seed: `seed_of` its stream.
        number: its id.
        data: its payload as stored.
    """
    return _signed(crc32(data) ^ crc32(_pack_place(number, seq, ts_ns), seed))


def same(stored: int, computed: int) -> bool:
    """Whether two checksums are the same 32 bits."""
    return not (stored ^ computed) & _BITS


def _signed(crc: int) -> int:
    return crc if crc < _SIGN else crc - 2 * _SIGN


Place = tuple[int, int, int, int]
"""Seed of the stream, id, seq, ts_ns."""


def moved(found: object, old: Place, new: Place) -> int | None:
    """The checksum of a message that gets another place; what is none becomes None."""
    if not isinstance(found, int):
        return None
    return _signed((found ^ _of_place(old) ^ _of_place(new)) & _BITS)


def _of_place(place: Place) -> int:
    seed, number, seq, ts_ns = place
    return crc32(_pack_place(number, seq, ts_ns), seed)

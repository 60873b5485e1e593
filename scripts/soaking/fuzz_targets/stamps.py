"""Messages: stamps, poses, fields and decoding from any bytes of any type.

The first two bytes choose the type; `\\x01` behind them puts its fingerprint in front of the rest.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import Any

from dimos_record.errors import CodecError, DecodeError
from dimos_record.messages import (
    child_frames,
    decode,
    encode,
    fingerprint,
    known_types,
    message_class,
    pose_of,
    shift_stamps,
    stamp_ns,
    summarize,
    to_plain,
)
from dimos_record.messages.columns import ColumnReader
from dimos_record.messages.layout import whole
from soaking.fuzz_targets.checks import BrokenPromise, check_same, errors_of_ours

_NS = 1_000_000_000


@lru_cache(maxsize=1)
def _types() -> list[str]:
    return known_types()


@lru_cache(maxsize=256)
def _columns(type_name: str) -> ColumnReader:
    return ColumnReader(type_name)


def seeds() -> list[bytes]:
    """An empty message of each type, and some of one string or number."""
    found = []
    for number, type_name in enumerate(_types()):
        if number % 4 and type_name.partition(".")[0] not in ("geometry_msgs", "tf2_msgs"):
            continue
        cls = message_class(type_name)
        if cls is not None:
            body = bytes(cls().lcm_encode())[8:]
            found.append(number.to_bytes(2, "big") + b"\x01" + body[:2000])
    dice = random.Random(1)
    return [*found, *(seed[:3] + dice.randbytes(60) for seed in found[:20])]


def run(data: bytes) -> None:
    """Look into the bytes in every way there is."""
    type_name = _types()[int.from_bytes(data[:2], "big") % len(_types())]
    known, message = fingerprint(type_name), data[3:]
    if data[2:3] == b"\x01" and known is not None:
        message = known.to_bytes(8, "big") + message
    stamp_ns(type_name, message)
    pose_of(type_name, message)
    child_frames(type_name, message)
    _check_shift(type_name, message)
    columns = _columns(type_name).read([message, message[:-1], b""])
    with errors_of_ours():
        _check_decoding(type_name, message, valid=bool(columns.valid[0]))


def _check_shift(type_name: str, message: bytes) -> None:
    try:
        moved = shift_stamps(type_name, message, 3 * _NS)
    except DecodeError:
        return
    check_same(len(message), len(moved), f"length of a shifted {type_name}")
    before, after = stamp_ns(type_name, message), stamp_ns(type_name, moved)
    if before is None or not 0 < before < (2**31 - 4) * _NS or before % _NS >= _NS:
        return
    if _nsec_of(before) >= 0 and after != before + 3 * _NS:
        raise BrokenPromise(f"the stamp of a {type_name} moved from {before} to {after}")


def _nsec_of(stamp: int) -> int:
    return stamp % _NS


def _check_decoding(type_name: str, message: bytes, *, valid: bool) -> None:
    plan = whole(type_name)
    try:
        size = plan.check(message) if plan is not None else 0
    except DecodeError:
        if valid:
            raise BrokenPromise(f"columns were read of what is no {type_name}") from None
        raise
    if not valid:
        raise BrokenPromise(f"no columns were read of a {type_name}")
    decoded = decode(type_name, message)
    summarize(decoded)
    try:
        again = encode(decoded)
    except CodecError:
        return
    if again != message[:size] and _plain(decode(type_name, again)) != _plain(decoded):
        raise BrokenPromise(f"a {type_name} comes back otherwise: {message!r}, {again!r}")


def _plain(message: Any) -> Any:
    return _comparable(to_plain(message))


def _comparable(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, dict):
        return {name: _comparable(item) for name, item in value.items()}
    return [_comparable(item) for item in value] if isinstance(value, list) else value

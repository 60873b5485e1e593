"""Stored payloads: LZ4, JPEG, text, unknown codecs, and SQLite's binary JSON.

The first byte chooses which.
"""

from __future__ import annotations

import io
import json
import sqlite3

import lz4.frame
from dimos_lcm.sensor_msgs import Image

from dimos_record.store.checksum import checksum, seed_of
from dimos_record.store.codecs import CHOOSABLE, codec_for
from dimos_record.store.connection import BadContent
from dimos_record.store.jsonb import loads
from soaking.fuzz_targets.checks import BrokenPromise, check_same, check_sentence, errors_of_ours

_KINDS = ("lcm", "lz4+lcm", "jpeg", "json", "pickle", "scalar", "zip", "", "jsonb", "jsonb")
_MOST_BYTES = 300_000_000


def seeds() -> list[bytes]:
    """A payload of each codec."""
    found = [_of("lcm", b"abc"), _of("lz4+lcm", bytes(lz4.frame.compress(b"abc" * 100)))]
    found.append(_of("lz4+lcm", bytes(lz4.frame.compress(bytes(3_000_000)))[:20_000]))
    found.append(_of("jpeg", _image()))
    found.append(_of("json", b'"text"'))
    found += [_of("jsonb", text) for text in (b'{"a": [1, null]}', b"[" * 3000, *_binary())]
    return found


def _of(kind: str, data: bytes) -> bytes:
    return bytes([_KINDS.index(kind)]) + data


def _image() -> bytes:
    from PIL import Image as Pixels

    jpeg = io.BytesIO()
    Pixels.new("RGB", (8, 8), (200, 10, 10)).save(jpeg, "JPEG")
    data = jpeg.getvalue()
    image = Image(encoding="jpeg", width=8, height=8, step=0, data=data, data_length=len(data))
    return bytes(image.lcm_encode())


def _binary() -> list[bytes]:
    """JSONB as SQLite itself makes it, where it can."""
    values = [{"a": 1, "b": [True, None, -1.5, "x\u00e9"]}, [], "text", 12, {"n": {"m": {}}}]
    try:
        with sqlite3.connect(":memory:") as connection:
            query = "SELECT jsonb(?)"
            return [
                connection.execute(query, (json.dumps(value),)).fetchone()[0] for value in values
            ]
    except sqlite3.OperationalError:
        return [b"\x7cSSa\x131Kb\x5b\x010\x131"]


def run(data: bytes) -> None:
    """Decode, and encode what came out."""
    kind, stored = _KINDS[(data[:1] or b"\0")[0] % len(_KINDS)], data[1:]
    if kind == "jsonb":
        _check_jsonb(stored)
        return
    checksum(seed_of("odom"), 1, 2, 3, stored)
    with errors_of_ours(kind):
        codec = codec_for(kind, "/odom")
        decoded = codec.decode(stored)
        if not isinstance(decoded, bytes) or len(decoded) > _MOST_BYTES:
            raise BrokenPromise(f"{len(stored)} bytes became {len(decoded)}")
        if kind in CHOOSABLE:
            again = codec.decode(codec.encode(decoded))
            if kind != "jpeg":
                check_same(decoded, again, kind)


def _check_jsonb(stored: bytes) -> None:
    try:
        loads(stored)
    except BadContent as error:
        check_sentence(str(error), len(stored))

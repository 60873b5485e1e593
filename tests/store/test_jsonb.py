from __future__ import annotations

import json
import random
import sqlite3
from typing import Any

import pytest

from dimos_record.store.jsonb import BadJsonb, loads

# written by SQLite 3.51: SELECT hex(jsonb(?))
SAMPLES = [
    ("{}", "0C"),
    ("[]", "0B"),
    ("null", "00"),
    ("true", "01"),
    ("false", "02"),
    ("-17", "332D3137"),
    ("2.5", "35322E35"),
    ('""', "07"),
    ('"abc"', "37616263"),
    ('{"a":1}', "4C17611331"),
    ('{"a":[1,2.5,null,true,{"b":false}]}', "CC101761CB0C133135322E3500013C176202"),
    ('"tab\\t \\u00e9"', "C80C7461625C74205C7530306539"),
]


@pytest.mark.parametrize(("text", "binary"), SAMPLES, ids=[text for text, _ in SAMPLES])
def test_binary_json_reads_like_its_text(text: str, binary: str) -> None:
    assert loads(bytes.fromhex(binary)) == json.loads(text)


@pytest.mark.parametrize("length", [0, 11, 12, 255, 256, 65_535, 65_536])
def test_long_strings_have_longer_sizes(length: int) -> None:
    data = b"x" * length
    if length <= 11:
        head = bytes([length << 4 | 10])
    elif length <= 0xFF:
        head = b"\xca" + length.to_bytes(1, "big")
    elif length <= 0xFFFF:
        head = b"\xda" + length.to_bytes(2, "big")
    else:
        head = b"\xea" + length.to_bytes(4, "big")
    assert loads(head + data) == data.decode()


@pytest.mark.parametrize("stored", [None, b"", ""])
def test_nothing_is_an_empty_object(stored: bytes | str | None) -> None:
    assert loads(stored) == {}


def test_json_as_text_is_read_too() -> None:
    assert loads('{"a": 1}') == loads(b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("elements", [5, 7])
def test_an_array_that_starts_like_text_is_read(elements: int) -> None:
    data = bytes([elements << 4 | 11]) + b"\x01" * elements
    assert data[:1] in (b"[", b"{")
    assert loads(data) == [True] * elements


@pytest.mark.parametrize(
    ("binary", "expected"),
    [("4430783146", 31), ("262E35", 0.5), ("26352E", 5.0)],
    ids=["hexadecimal", "no digit before the point", "no digit after it"],
)
def test_numbers_as_json5_writes_them(binary: str, expected: float) -> None:
    assert loads(bytes.fromhex(binary)) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\x4c\x17a\x13",
        b"\x0c\x00",
        b"\x2c\x17a",
        b"\x0d",
        b"\x0f",
        b"\x2c\x0b\x00",
        b"\x2a\xff\xff",
        b"{not json",
        b"\x1311",
        b"\x23ab",
        b"\xdb\x27\x10" * 5000,
        b"\xff" * 9,
    ],
)
def test_what_is_no_json_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(BadJsonb):
        loads(data)


@pytest.mark.dimos  # beside dimos there is an SQLite that has JSONB
def test_whatever_sqlite_writes_is_read() -> None:
    rng = random.Random(1)

    def value(depth: int) -> Any:
        kind = rng.randrange(8 if depth else 6)
        simple = [None, True, rng.randrange(-(10**9), 10**9), rng.random(), "é\t\"'\\" * 9, ""]
        if kind < 6:
            return simple[kind]
        items = [value(depth - 1) for _ in range(rng.randrange(6))]
        return items if kind == 6 else {f"k{i}": item for i, item in enumerate(items)}

    connection = sqlite3.connect(":memory:")
    for _ in range(300):
        expected = value(4)
        text = json.dumps(expected)
        assert loads(connection.execute("SELECT jsonb(?)", (text,)).fetchone()[0]) == expected
    connection.close()

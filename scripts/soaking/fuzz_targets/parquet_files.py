"""Parquet, imported.

With a first byte of 0 the rest is a file. With 1 it is what a file of our own export says of its
topic, with 2 what is in its rows.
"""

from __future__ import annotations

import io
import json
from functools import lru_cache
from typing import Any

from soaking.fuzz_targets.choices import Choices
from soaking.fuzz_targets.importing import check_import
from soaking.fuzz_targets.places import scratch

_NS = 1_763_649_785_000_000_000
_TOLD = {
    "topic": "/odom",
    "channel": "/odom#nav_msgs.Odometry",
    "type": "nav_msgs.Odometry",
    "latched": False,
    "markers": [{"id": 1, "at_ns": _NS, "label": "fall", "until_ns": None, "data": None}],
}


@lru_cache(maxsize=1)
def _exported() -> Any:
    """A table as our export writes it."""
    import pyarrow.parquet

    from dimos_record import RecordReplay

    with scratch() as folder:
        with RecordReplay(folder / "a.db") as rec:
            stream = rec.stream("odom", type_name="nav_msgs.Odometry")
            for i in range(3):
                stream.append(b"abc", ts_ns=_NS + i, pose=(1.0, 2.0, 3.0), tags={"lap": i})
            rec.export(folder / "out", format="parquet", raw=True)
        (file,) = (folder / "out").rglob("*.parquet")
        return pyarrow.parquet.read_table(file)


def _file(told: bytes | None = None, rows: dict[str, list[Any]] | None = None) -> bytes:
    import pyarrow
    import pyarrow.parquet

    from dimos_record.interop.parquet import METADATA

    table = _exported()
    schema = table.schema
    if told is not None:
        schema = schema.with_metadata({**schema.metadata, METADATA: told})
    columns = {**table.to_pydict(), **(rows or {})}
    made = pyarrow.table(columns, schema=schema)
    out = io.BytesIO()
    pyarrow.parquet.write_table(made, out, compression="none")
    return out.getvalue()


def seeds() -> list[bytes]:
    """A file, and parts of one."""
    odd = dict(_TOLD, markers=[dict(_TOLD["markers"][0], at_ns="soon", label=5)])  # type: ignore[index]
    return [
        b"\0" + _file(),
        b"\1" + json.dumps(_TOLD).encode(),
        b"\1" + json.dumps(odd).encode(),
        b"\1" + b"[" * 3000,
        b"\2" + bytes(range(200)),
        b"\2" + b"[" * 300,
    ]


def run(data: bytes) -> None:
    """Import the bytes as a file, or a file with them in it."""
    with scratch() as folder:
        source = folder / "a.parquet"
        source.write_bytes(_made(data[:1], data[1:]))
        check_import(source)


def _made(kind: bytes, data: bytes) -> bytes:
    if kind == b"\1":
        return _file(told=data)
    if kind == b"\2":
        choices = Choices(data)
        times = [choices.pick((None, choices.integer())) for _ in range(3)]
        numbers = [choices.pick((None, choices.integer())) for _ in range(3)]
        tags = [choices.pick((None, choices.text())) for _ in range(3)]
        raw = [choices.pick((None, b"", b"abc")) for _ in range(3)]
        return _file(rows={"ts_ns": times, "seq": numbers, "tags": tags, "raw": raw})
    return data

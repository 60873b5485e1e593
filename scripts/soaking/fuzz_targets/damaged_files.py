"""Recordings and logs with any bytes: cut off, overwritten, put together from parts.

The first byte chooses the recording, the second what is done with it, the third how the rest of
the bytes is used: as places and values to overwrite, as the whole file, or as the whole log.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from soaking.fuzz_targets.choices import Choices
from soaking.fuzz_targets.places import scratch
from soaking.fuzz_targets.using import GROUPS, append, look, mend, read
from tests.edit.recordings import numbered
from tests.store.samples import killed

_USES = (look, read, mend, mend, append, *GROUPS)
_HEADER = b"SQLite format 3\0"


@lru_cache(maxsize=2)
def _base(of_killed: bool) -> dict[str, bytes]:
    """A small recording, or one of a killed recorder with its log."""
    with scratch() as folder:
        if of_killed:
            killed(folder / "odd.db", batches=2)
        else:
            numbered(folder / "odd.db", 40)
        return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def seeds() -> list[bytes]:
    """Places in the header, at the heads of pages, in the log; cuts; nonsense."""
    found = []
    for base in (0, 1):
        for use in range(len(_USES)):
            head = bytes([base, use, use % 3])
            found.append(head + bytes([0, 0, 20, 1, 3, 255] * 3))
        found += [
            bytes([base, 2, 3]) + _HEADER + bytes(200),
            bytes([base, 2, 4]) + bytes.fromhex("377f0682002de218") + bytes(100),
            bytes([base, 1, 5, 40, 0]),
            bytes([base, 2, 5, 80, 0]),
        ]
    return found


def run(data: bytes) -> None:
    """Damage a recording, and use it."""
    choices = Choices(data)
    files, use = dict(_base(choices.below(2) == 1)), choices.pick(_USES)
    kind = choices.below(6)
    name = choices.pick(sorted(files)) if kind < 3 or kind == 5 else "odd.db"
    if kind == 3:
        files["odd.db"] = choices.rest()
    elif kind == 4:
        files["odd.db-wal"] = choices.rest()
    elif kind == 5:
        size = len(files[name])
        files[name] = files[name][: size * choices.below(65_536) // 65_536]
    else:
        files[name] = _overwritten(files[name], choices)
    with scratch() as folder:
        for file, content in files.items():
            (folder / file).write_bytes(content)
        use(Path(folder / "odd.db"))


def _overwritten(content: bytes, choices: Choices) -> bytes:
    """Bytes at the heads of pages or anywhere replaced."""
    changed = bytearray(content)
    while choices.left and changed:
        near = choices.below(4)
        if near == 0:
            at = choices.below(100)
        elif near == 1:
            at = choices.below(256) * 4096 + choices.below(128)
        else:
            at = choices.below(65_536) * 257 + choices.below(256)
        piece = choices.raw(1 + choices.below(4))
        at %= len(changed)
        changed[at : at + len(piece)] = piece
    return bytes(changed)

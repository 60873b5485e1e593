"""The pages of a damaged file and the frames of its log, as `recover` reads them without SQLite.

With a first byte of 0 the rest is a file of small pages. Else it chooses the frames of a log beside
a good file, all with right checksums: which page each is of, and what is changed in it.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from functools import lru_cache
from itertools import islice
from pathlib import Path

from dimos_record.store.salvage.messages import Messages
from dimos_record.store.salvage.others import Others
from dimos_record.store.salvage.pages import Pages
from dimos_record.store.salvage.streams import find_streams
from dimos_record.store.salvage.trees import Trees
from dimos_record.store.wal import has_commit
from soaking.fuzz_targets.checks import BrokenPromise, errors_of_ours
from soaking.fuzz_targets.choices import Choices
from soaking.fuzz_targets.places import scratch
from tests.edit.recordings import numbered, walk

_PAGE = 512
_MAGIC = 0x377F0682
_MOST_FRAMES = 12
_MOST_FOUND = 10_000


@lru_cache(maxsize=2)
def _file(with_poses: bool) -> bytes:
    """A recording in pages of the smallest size, so that much of it is structure."""
    with scratch() as folder:
        path = folder / "a.db"
        if with_poses:
            walk(path, seconds=1)
        else:
            numbered(path, 20)
        with closing(sqlite3.connect(path)) as connection:
            if with_poses:
                connection.execute("UPDATE camera_blob SET data = zeroblob(900)")
                connection.commit()
            connection.execute(f"PRAGMA page_size={_PAGE}")
            connection.execute("VACUUM")
        return path.read_bytes()


def seeds() -> list[bytes]:
    """Both files, and logs with a few frames."""
    found = [b"\0" + _file(number == 1) for number in (0, 1)]
    found += [bytes([1, n, *((i * n * 31) % 256 for i in range(80))]) for n in range(1, 7)]
    return found


def run(data: bytes) -> None:
    """Find everything that is in it."""
    with scratch() as folder:
        path = folder / "a.db"
        if data[:1] in (b"", b"\0"):
            path.write_bytes(data[1:])
        else:
            path.write_bytes(_file(data[0] % 2 == 1))
            Path(f"{path}-wal").write_bytes(_log(Choices(data[1:])))
        has_commit(f"{path}-wal")
        with errors_of_ours():
            _find_all(path)


def _find_all(path: Path) -> None:
    with Pages.of(path) as pages:
        trees = Trees(pages)
        for name in trees.names:
            trees.columns(name)
        others = Others(trees)
        _ = (others.carried, others.was_killed, others.written)
        streams = find_streams(trees)
        messages = Messages(trees, streams)
        for stream in streams:
            for _ in islice(messages.of_stream(stream), _MOST_FOUND):
                pass
        found = list(islice(messages.spooled(), _MOST_FOUND))
        found += islice(messages.rest(), _MOST_FOUND)
        if not all(isinstance(one, tuple) for one in found):
            raise BrokenPromise("what was found are no messages")


def _log(choices: Choices) -> bytes:
    """A log of which every checksum is right."""
    base = _file(False)
    pages = len(base) // _PAGE
    header = struct.pack(">IIIIII", _MAGIC, 3007000, _PAGE, 0, 1, 2)
    sums = _summed((0, 0), header)
    out = [header, struct.pack(">II", *sums)]
    for _ in range(choices.below(_MOST_FRAMES)):
        number = 1 + choices.below(pages)
        page = bytearray(base[(number - 1) * _PAGE : number * _PAGE])
        for _ in range(choices.below(6)):
            page[choices.below(_PAGE)] = choices.below(256)
        if choices.below(4) == 0:
            number = choices.pick((0, pages + 1, 2**16, 2**31, 2**32 - 1))
        head = struct.pack(">II", number, choices.pick((0, pages, number)))
        sums = _summed(sums, head + page)
        out += [head, struct.pack(">II", 1, 2), struct.pack(">II", *sums), bytes(page)]
    return b"".join(out)


def _summed(before: tuple[int, int], data: bytes | bytearray) -> tuple[int, int]:
    a, b = before
    for x, y in struct.iter_unpack("<II", data):
        a = (a + x + b) & 0xFFFFFFFF
        b = (b + y + a) & 0xFFFFFFFF
    return a, b

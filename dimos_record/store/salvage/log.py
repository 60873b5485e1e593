"""The frames of a write-ahead log that may be damaged.

Format: https://sqlite.org/fileformat2.html#the_write_ahead_log. The checksum of a frame goes on
from that of the frame before. SQLite stops at the first one that does not fit; but what comes
behind a damaged frame can be proven too, from the checksum that the damaged one bears.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

_HEADER, _FRAME_HEADER = 32, 24
_LITTLE, _BIG = 0x377F0682, 0x377F0683
_MODULUS = 2**32

Sums = tuple[int, int]


class Log(NamedTuple):
    """What of a log can be used."""

    pages: dict[int, int]
    """Where in the log the newest content of a page is, by page number, committed or not."""
    older: tuple[int, ...]
    """Where pages are as they were committed, if there is a newer content that was not: what ends
    the last commit may be damaged, or the recorder was killed within one."""
    unproven: dict[int, int]
    """The same as `pages`, with what does not fit its checksum; empty if all does."""
    damaged: int
    """Frames that do not fit their checksum, and bytes that are no whole frame at the end."""
    sqlite_reads_all: bool
    """Whether SQLite finds all that is here: no frame is damaged before one that is not."""


NOTHING = Log({}, (), {}, 0, True)


class _Frame(NamedTuple):
    at: int
    page: int
    commits: bool
    proven: bool


def page_size(log: int | None) -> int | None:
    """The size of the pages in a log, as its header says."""
    header = os.pread(log, _HEADER, 0) if log is not None else b""
    size = int.from_bytes(header[8:12], "big") if len(header) == _HEADER else 0
    return size if 512 <= size <= 65536 and not size & (size - 1) else None


def read_log(log: int, size: int) -> Log:
    """Find the frames of a log that can be proven.

    Args:
        log: a descriptor of the log.
        size: of a page.
    """
    frames = list(_frames(log, size))
    last = max((i for i, frame in enumerate(frames) if frame.proven and frame.commits), default=-1)
    committed = {frame.page: frame.at for frame in frames[: last + 1] if frame.proven}
    begun = {frame.page: frame.at for frame in frames[last + 1 :] if frame.proven}
    first_bad = next((i for i, frame in enumerate(frames) if not frame.proven), len(frames))
    return Log(
        {**committed, **begun},
        tuple(at for page, at in committed.items() if page in begun),
        {}
        if first_bad == len(frames)
        else {frame.page: frame.at for frame in frames if frame.page},
        sum(not frame.proven for frame in frames),
        not any(frame.proven for frame in frames[first_bad:]),
    )


def _frames(log: int, size: int) -> Iterator[_Frame]:
    """The frames of the current generation; older ones have other salts and come behind."""
    header = os.pread(log, _HEADER, 0)
    if len(header) < _HEADER:
        return
    order = "<u4" if int.from_bytes(header[:4], "big") != _BIG else ">u4"
    step, end = _FRAME_HEADER + size, os.fstat(log).st_size
    starts = range(_HEADER, end - step + 1, step)
    salts = _salts(log, header, order, starts)
    before = stored = _sums(header[24:32])
    missed = 0
    for start in starts:
        frame = os.pread(log, step, start)
        if len(frame) < step or frame[8:16] != salts:
            missed += 1
            stored = before = _sums(frame[16:24]) if len(frame) == step else stored
            continue
        for _ in range(missed):  # not the end: damaged frames, whatever their salts say
            yield _Frame(start, 0, False, False)
        missed = 0
        computed = {_chained(seen, frame, size, order) for seen in {stored, before}}
        bears = _sums(frame[16:24])
        page, commit = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[4:8], "big")
        yield _Frame(start + _FRAME_HEADER, page, commit != 0, bears in computed)
        # if what it bears is wrong and its content is not, the next one goes on from its content
        stored, before = bears, _chained(stored, frame, size, order)


def _salts(log: int, header: bytes, order: str, starts: range) -> bytes:
    """What the frames of the current generation bear."""
    summed = _sum((0, 0), header[:24], order) == _sums(header[24:32])
    if summed or not starts:
        return header[16:24]
    return os.pread(log, 8, starts[0] + 8)


def _sums(data: bytes) -> Sums:
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")


def _chained(before: Sums, frame: bytes, size: int, order: str) -> Sums:
    return _sum(before, frame[:8] + frame[_FRAME_HEADER : _FRAME_HEADER + size], order)


def _sum(before: Sums, data: bytes, order: str) -> Sums:
    """SQLite's checksum: for each pair of words (x, y), ``a += x + b`` and then ``b += y + a``.

    That is linear modulo 2**32, so numpy can add up the words, each times its weight.
    """
    import numpy as np

    (aa, ab, ba, bb), weights = _weights(len(data) // 8)
    words = np.frombuffer(data, order).astype(np.uint32).reshape(-1, 2)
    a, b = (int((words * weight).sum(dtype=np.uint32)) for weight in weights)
    return (
        (aa * before[0] + ab * before[1] + a) % _MODULUS,
        (ba * before[0] + bb * before[1] + b) % _MODULUS,
    )


@lru_cache(maxsize=8)
def _weights(pairs: int) -> tuple[tuple[int, int, int, int], tuple[Any, Any]]:
    """What the sums before, and the words of each pair, contribute to the two sums."""
    import numpy as np

    aa, ab, ba, bb = 1, 0, 0, 1  # what the sums after a pair contribute to those at the end
    for_a, for_b = [], []
    for _ in range(pairs):
        # x goes into a and through it into b, y into b
        for_a.append(((aa + ab) % _MODULUS, ab))
        for_b.append(((ba + bb) % _MODULUS, bb))
        aa, ab = (aa + ab) % _MODULUS, (aa + 2 * ab) % _MODULUS
        ba, bb = (ba + bb) % _MODULUS, (ba + 2 * bb) % _MODULUS
    weights = [np.array(part[::-1], np.uint32) for part in (for_a, for_b)]
    return (aa, ab, ba, bb), (weights[0], weights[1])

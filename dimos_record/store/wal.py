"""The frames of a write-ahead log that may be damaged.

Format: https://sqlite.org/fileformat2.html#the_write_ahead_log. The checksum of a frame goes on
from that of the frame before. SQLite stops at the first one that does not fit; but what comes
behind a damaged frame can be proven too, from the checksum that the damaged one bears.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER, _FRAME_HEADER = 32, 24
_BIG = 0x377F0683
"""What a log begins with whose checksums are of big-endian words."""
_WORD = 2**32 - 1

Sums = tuple[int, int]


class Log(NamedTuple):
    """What of a log can be used."""

    pages: dict[int, int]
    """Where in the log the newest content of a page is, by page number, committed or not."""
    older: tuple[int, ...]
    """Where pages are as they were before, the last one first: as they were committed, if there is
    newer content that was not; and if the log is damaged, as they ever were. What was moved from
    such a page may have been lost on its way."""
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


def has_commit(log: str) -> bool:
    """Whether SQLite will find anything in a log.

    It deletes a log that has nothing for it, also when it was only asked to read.
    """
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        header, size = os.pread(descriptor, _HEADER, 0), page_size(descriptor)
        if size is None or not _is_summed(header):
            return False
        for frame in _frames(descriptor, size):
            if frame.commits or not frame.proven:
                return frame.proven
        return False
    finally:
        os.close(descriptor)


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
        _older(frames, committed, begun, damaged=first_bad < len(frames)),
        {}
        if first_bad == len(frames)
        else {frame.page: frame.at for frame in frames if frame.page},
        sum(not frame.proven for frame in frames),
        not any(frame.proven for frame in frames[first_bad:]),
    )


def _older(
    frames: list[_Frame], committed: dict[int, int], begun: dict[int, int], *, damaged: bool
) -> tuple[int, ...]:
    if not damaged:
        return tuple(at for page, at in committed.items() if page in begun)
    newest = {**committed, **begun}
    return tuple(f.at for f in reversed(frames) if f.proven and f.at != newest[f.page])


def _frames(log: int, size: int) -> Iterator[_Frame]:
    """The frames of the current generation; older ones have other salts and come behind."""
    header = os.pread(log, _HEADER, 0)
    if len(header) < _HEADER:
        return
    order = _order(header)
    step, end = _FRAME_HEADER + size, os.fstat(log).st_size
    starts = range(_HEADER, end - step + 1, step)
    salts = _salts(log, header, starts)
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
        # what the one before bears may be wrong while its content is not
        bears, sums = _sums(frame[16:24]), [_chained(stored, frame, size, order)]
        if before != stored:
            sums.append(_chained(before, frame, size, order))
        page, commit = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[4:8], "big")
        yield _Frame(start + _FRAME_HEADER, page, commit != 0, bears in sums)
        stored, before = bears, sums[0]


def _salts(log: int, header: bytes, starts: range) -> bytes:
    """What the frames of the current generation bear."""
    if _is_summed(header) or not starts:
        return header[16:24]
    return os.pread(log, 8, starts[0] + 8)


def _is_summed(header: bytes) -> bool:
    """Whether the header of a log is as it was written."""
    return _sum((0, 0), header[:24], _order(header)) == _sums(header[24:32])


def _order(header: bytes) -> str:
    return ">II" if int.from_bytes(header[:4], "big") == _BIG else "<II"


def _sums(data: bytes) -> Sums:
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")


def _chained(before: Sums, frame: bytes, size: int, order: str) -> Sums:
    return _sum(before, frame[:8] + frame[_FRAME_HEADER : _FRAME_HEADER + size], order)


def _sum(before: Sums, data: bytes, order: str) -> Sums:
    """SQLite's checksum over pairs of words."""
    a, b = before
    for x, y in struct.iter_unpack(order, data):
        a = (a + x + b) & _WORD
        b = (b + y + a) & _WORD
    return a, b

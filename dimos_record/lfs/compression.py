"""gzip on several processors: blocks are compressed on their own, one gzip member each."""

from __future__ import annotations

import os
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

_LEVEL = 6
_BLOCK_BYTES = 1 << 20
_AS_GZIP = 31  # wbits of zlib: the largest window, with the header and trailer of gzip
_MOST_THREADS = 8


class ParallelGzip:
    """Compresses what is written to it; any gzip program reads the result.

    The result depends on the content alone: not on the time, nor on the number of processors.

    Args:
        out: where the compressed bytes go; it stays open.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._block = bytearray()
        self._threads = min(os.cpu_count() or 1, _MOST_THREADS)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="gzip")
        self._waiting: deque[Future[bytes]] = deque()

    def __enter__(self) -> ParallelGzip:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        try:
            if kind is None:
                self._submit(bytes(self._block))
                self._write_out(0)
        finally:
            self._pool.shutdown(cancel_futures=True)

    def write(self, data: bytes) -> int:
        """Take bytes; it waits while more than a few blocks are not compressed yet."""
        self._block += data
        while len(self._block) >= _BLOCK_BYTES:
            self._submit(bytes(self._block[:_BLOCK_BYTES]))
            del self._block[:_BLOCK_BYTES]
            self._write_out(2 * self._threads)
        return len(data)

    def _submit(self, block: bytes) -> None:
        if block:
            self._waiting.append(self._pool.submit(_compressed, block))

    def _write_out(self, at_most: int) -> None:
        """Write what comes first, until at most so many blocks are waited for."""
        while len(self._waiting) > at_most:
            self._out.write(self._waiting.popleft().result())


def _compressed(block: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _AS_GZIP)
    return compressor.compress(block) + compressor.flush()

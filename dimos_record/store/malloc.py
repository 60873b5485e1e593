"""How the memory of large messages is used again."""

from __future__ import annotations

from functools import lru_cache

_BYTES = 16 << 20


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let the memory of a large message be used for the next one, instead of giving it back.

    Otherwise Linux hands out hundreds of fresh pages for every picture, and clears them: that takes
    twice as long as reading it. glibc learns from what is freed: after a block of 16 MiB, which is
    never touched, it keeps up to twice that ("dynamic mmap threshold" in mallopt(3)). Other C
    libraries do as they like.
    """
    bytes(_BYTES)

"""Whether there is room for what is to be written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path

from dimos_record.edit.copying import recoder
from dimos_record.edit.plan import FilePlan, StreamPlan, samples
from dimos_record.errors import DiskFull
from dimos_record.store.connection import PAGE_SIZE, connect_for_reading

ELSEWHERE = "save it to another disk with save_as()"

_ROW_BYTES = 90
"""Columns, indexes and what SQLite needs for a message, about."""
_SPARE_BYTES = 16_000_000
_RECODED_SAMPLES = 16


def check_room(target: Path, plans: Iterable[FilePlan], otherwise: str) -> None:
    """Make sure that there is room for a recording, as far as samples tell.

    Args:
        target: where it will be.
        plans: what will be in it.
        otherwise: what else could be done: `save it elsewhere with save_as()`.

    Raises:
        DiskFull: there is not; the message says how much it takes and how much is free.
    """
    needed = sum(room_for(stream, plan) for plan in plans for stream in plan.streams)
    free = shutil.disk_usage(target.parent).free
    if needed + _SPARE_BYTES > free:
        raise DiskFull(
            f"{target} needs about {_in_mb(needed)}, and {_in_mb(_SPARE_BYTES)} are to stay free, "
            f"but {target.parent.absolute()} has {_in_mb(free)}; free some space, or {otherwise}"
        )


def _in_mb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def room_for(stream: StreamPlan, plan: FilePlan) -> int:
    """Bytes that a stream will take, about."""
    if not stream.count:
        return 0
    payloads = stream.bytes
    if stream.recode is not None:
        payloads = int(payloads * _growth(stream, plan))
    on_pages = PAGE_SIZE // 2 if payloads > stream.count * PAGE_SIZE // 2 else 0
    return payloads + stream.count * (_ROW_BYTES + on_pages)


def _growth(stream: StreamPlan, plan: FilePlan) -> float:
    """What another codec makes of a byte, by some examples."""
    recode, before, after = recoder(stream), 0, 0
    with closing(connect_for_reading(plan.path)) as connection:
        for number in islice(samples(stream.runs, stream.count, _RECODED_SAMPLES), 32):
            stored = stream.table.payload(connection, number)
            if isinstance(stored, bytes):
                before += len(stored)
                after += len(recode(stored))
    return after / before if before else 1.0

"""Writing a view into a new recording."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dimos_record.bus.base import split_channel
from dimos_record.edit.carried import Timeline, write_timeline
from dimos_record.errors import OptionError
from dimos_record.record.provenance import describe_session
from dimos_record.store.files import FileStore
from dimos_record.store.observation import Observation
from dimos_record.store.paths import path_for_writing
from dimos_record.store.writer import RecordingWriter

if TYPE_CHECKING:
    from dimos_record.replay.view import ReplayView

_BATCH = 500
_BATCH_BYTES = 8_000_000
_CHECKPOINT_BYTES = 64_000_000
"""Payload after which the log is copied into the file, so that it does not grow beyond this."""


def save_view(view: ReplayView, name: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the messages of a view into a new recording, with their times, poses and tags.

    Returns:
        The path of the new recording. When writing fails, nothing is left of it, and what was to be
        replaced is still there.

    Raises:
        RecordingExists: there is one already, and `overwrite` is not set.
        OptionError: it is the recording of the view, or lies in its folder.
    """
    store = FileStore(path_for_writing(name))
    source, wanted = Path(view.name).resolve(), store.path.resolve()
    if source == wanted or source in wanted.parents:
        raise OptionError(f"{store.path} is what the view reads; save it under another name")
    target = store.target(overwrite=overwrite)
    try:
        _copy(view, target.writer)
        target.writer.close()
    except BaseException:
        target.undo()
        raise
    target.begun()
    return store.path


def _copy(view: ReplayView, writer: RecordingWriter) -> None:
    meta = describe_session("", "") | {"derived_from": view.name}
    observations = iter(view)
    batch = list(_take(observations))
    first_ns = last_ns = batch[0].ts_ns if batch else (view.span_ns() or (0, 0))[0]
    writer.begin_session(first_ns, meta, split=split_channel)
    since_checkpoint = 0
    while batch:
        with writer.transaction():
            _write(writer, batch)
        last_ns = batch[-1].ts_ns
        since_checkpoint += sum(len(one.raw) for one in batch)
        if since_checkpoint > _CHECKPOINT_BYTES:
            writer.checkpoint()
            since_checkpoint = 0
        batch = list(_take(observations))
    skips = [skip for skip in view.skips() if first_ns < skip[1] and skip[0] < last_ns]
    if skips:  # what was kept in there is state in the new recording, too
        with writer.transaction():
            write_timeline(writer.connection, Timeline(first_ns, skips, markers=()))
    writer.end_session(last_ns, "saved", None, 0)


def _write(writer: RecordingWriter, batch: list[Observation]) -> None:
    for stream in {one.stream.channel: one.stream for one in batch}.values():
        writer.declare(stream)
    if any(_has_meta(one) for one in batch):
        for one in batch:
            writer.append_one(one.stream.channel, one.ts_ns, one.raw, **one.meta._asdict())
    else:
        writer.write([(one.ts_ns, one.stream.channel, one.raw) for one in batch])


def _has_meta(observation: Observation) -> bool:
    meta = observation.meta
    return meta.pose is not None or bool(meta.tags) or meta.value is not None


def _take(observations: Iterator[Observation]) -> Iterator[Observation]:
    size = 0
    for observation in islice(observations, _BATCH):
        yield observation
        size += len(observation.raw)
        if size >= _BATCH_BYTES:
            return

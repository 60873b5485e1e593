"""Several recordings as one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from dimos_record.edit.carried import Timeline, another_recording
from dimos_record.edit.derive import Target, refuse_itself
from dimos_record.edit.plan import FilePlan, StreamPlan, files_of, plan_files, size_of
from dimos_record.edit.progress import OnProgress, Progress
from dimos_record.edit.room import check_room
from dimos_record.edit.writing import SaveReport, write_file
from dimos_record.errors import OptionError
from dimos_record.store import open_recording
from dimos_record.store.base import Marker, StreamInfo
from dimos_record.store.connection import ReadConnection
from dimos_record.store.edit_state import EditState, StreamEdits
from dimos_record.store.edited import EditedReader
from dimos_record.store.intervals import Intervals
from dimos_record.store.names import stream_name
from dimos_record.store.paths import path_for_reading, path_for_writing
from dimos_record.store.table import Span

ALIGNMENTS = ("time", "start", "end to end")
_RECODABLE = ("lcm", "lz4+lcm", "jpeg", "json")
_LOSSLESS = ("lcm", "lz4+lcm")


def merge(
    sources: Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    align: str = "time",
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> SaveReport:
    """Write one recording from several, which stay as they are; their edits are obeyed.

    Messages of the same channel become one stream in the order of time, and the order of arrival
    is that of time over all streams. Other channels stand side by side.

    Args:
        sources: the recordings, files or folders.
        target: name of the new one.
        align: `time`: at the times when they were received. `start`: the start of each is moved to
            that of the first. `end to end`: each is moved to where the one before it ends.
        overwrite: replace another recording that nobody has open.
        on_progress: see `save`.

    Raises:
        OptionError: there are fewer than two, the same one twice, or no such alignment.
        RecordingNotFound, NotARecording, RecordingExists, RecordingBusy, DiskFull, StorageError
        CodecError, MissingExtra, RecordingDamaged
    """
    if align not in ALIGNMENTS:
        raise OptionError(f"align cannot be {align!r}; use one of: {', '.join(ALIGNMENTS)}")
    paths = [path_for_reading(source) for source in sources]
    _refuse_too_few(paths)
    with ExitStack() as stack:
        readers = [stack.enter_context(open_recording(path)) for path in paths]
        for reader in readers:
            refuse_itself(reader, path_for_writing(target))
        shifts = _shifts(readers, align)
        prepared = Target.prepared(readers[0], path_for_writing(target), overwrite)
        to = stack.enter_context(prepared)
        files = [stack.enter_context(files_of(reader)) for reader in readers]
        size_before = sum(map(size_of, files))
        progress = Progress(on_progress, size_before)
        plans = _plans(readers, files, shifts, progress)
        check_room(to.path, plans, "choose a name on another disk")
        progress.expect(sum(plan.bytes for plan in plans))
        written = write_file(
            to.new,
            plans,
            _timeline(readers, shifts, align).with_meta(another_recording(plans)),
            progress,
            interleaved=_interleaved(plans),
            number_anew=True,
        )
        progress.finish()
        return to.put(written, size_before)


def _refuse_too_few(paths: Sequence[Path]) -> None:
    for index, path in enumerate(paths):
        if any(os.path.samefile(path, other) for other in paths[:index]):
            raise OptionError(f"{path} is given twice; merge takes each recording once")
    if len(paths) < 2:
        raise OptionError("merge needs at least two recordings")


def _shifts(readers: Sequence[EditedReader], align: str) -> list[int]:
    """How far each recording is moved; one without messages stays."""
    shifts: list[int] = []
    to_ns: int | None = None
    for reader in readers:
        span = reader.span_ns()
        if span is None or align == "time":
            shifts.append(0)
            continue
        start_ns = span[0] if align == "end to end" else reader.origin_ns()
        shifts.append(0 if to_ns is None else to_ns - start_ns)
        if align == "end to end":
            to_ns = span[1] + shifts[-1]
        elif to_ns is None:
            to_ns = start_ns
    return shifts


def _plans(
    readers: Sequence[EditedReader],
    files: Sequence[Sequence[Path]],
    shifts: Sequence[int],
    progress: Progress,
) -> list[FilePlan]:
    """What is copied of each file, in the order in which the files begin."""
    states = _by_channel([reader.state for reader in readers])
    plans = [
        plan.shifted(shift)
        for state, of_one, shift in zip(states, files, shifts, strict=True)
        for plan in plan_files(of_one, state, progress)
    ]
    return sorted(plans, key=lambda plan: plan.first_ns + plan.shift_ns)


def _by_channel(states: Sequence[EditState]) -> list[EditState]:
    """The same, with one stream per channel: of the same name and codec in all recordings."""
    infos: dict[tuple[str, str], StreamInfo] = {}
    codecs: dict[tuple[str, str], set[str]] = {}
    for state in states:
        for one in state.streams.values():
            key = _key(one.info)
            if key not in infos:
                name = one.info.name
                taken = {info.name.lower() for info in infos.values()}
                if name.lower() in taken:
                    name = stream_name(one.info.topic, taken)
                infos[key] = one.info._replace(name=name)
            codecs.setdefault(key, set()).add(one.info.codec)
    for key, info in infos.items():
        if len(codecs[key]) > 1 and info.codec not in _LOSSLESS:
            infos[key] = info._replace(codec="lcm")

    def unified(one: StreamEdits) -> StreamEdits:
        key = _key(one.info)
        recode = infos[key].codec if len(codecs[key]) > 1 else one.recode
        return replace(one, info=infos[key], recode=recode)

    return [
        replace(state, streams={n: unified(one) for n, one in state.streams.items()})
        for state in states
    ]


def _key(info: StreamInfo) -> tuple[str, str]:
    """What makes streams one; what cannot be stored with another codec stays apart."""
    return info.channel, "" if info.codec in _RECODABLE else info.codec


def _interleaved(plans: Sequence[FilePlan]) -> set[str]:
    """Streams of which one file's messages do not all come before the next one's."""
    extents: dict[str, list[tuple[int, int, Intervals]]] = {}
    for plan in plans:
        with closing(plan.connect()) as connection:
            for stream in plan.streams:
                if stream.count:
                    extent = *_extent(connection, stream), plan.skips
                    extents.setdefault(stream.name, []).append(extent)
    return {
        name
        for name, parts in extents.items()
        if any(_overlap(earlier, later) for earlier, later in pairwise(parts))
    }


def _overlap(earlier: tuple[int, int, Intervals], later: tuple[int, int, Intervals]) -> bool:
    """Whether messages alternate, or may be the same: state that was kept from before a cut."""
    last_ns, first_ns = earlier[1], later[0]
    same = last_ns == first_ns and any(first_ns in skips for *_, skips in (earlier, later))
    return last_ns > first_ns or same


def _extent(connection: ReadConnection, stream: StreamPlan) -> tuple[int, int]:
    """When the first and the last message that is copied was received, from now on."""
    spans = (Span.between(*piece[:2]) for piece in stream.edits.pieces)
    ends = [stream.table.ends(connection, stream.table.source, span) for span in spans]
    found = [(first, last) for first, last in ends if first is not None and last is not None]
    shift = stream.edits.shift_ns
    return found[0][0] + shift, found[-1][1] + shift


def _timeline(readers: Sequence[EditedReader], shifts: Sequence[int], align: str) -> Timeline:
    shifted = list(zip(readers, shifts, strict=True))
    played = Intervals()
    for reader, shift in shifted:
        played = played.union(_played(reader).shifted(shift))
    first_ns = played.items[0][0] if played else 0
    skips = Intervals()
    for reader, shift in shifted:
        for low, high in Intervals.of(reader.skips()).shifted(shift):
            at_start = low <= reader.origin_ns() + shift
            # what is missing before a recording is no cut once another one begins before that
            if align == "end to end" or high <= first_ns or not at_start:
                skips = skips.union(Intervals.of([(low, high)]))
    markers = [_moved(marker, shift) for reader, shift in shifted for marker in reader.markers()]
    markers.sort(key=lambda marker: marker.at_ns)
    return Timeline(
        min((r.origin_ns() + shift for r, shift in shifted if _played(r)), default=0),
        skips.without(played).items,  # where another recording has messages, nothing is skipped
        [marker._replace(id=number) for number, marker in enumerate(markers, 1)],
    )


def _played(reader: EditedReader) -> Intervals:
    """Where a recording has messages that play."""
    span = reader.span_ns()
    whole = Intervals.of([(span[0], span[1] + 1)] if span else [])
    return whole.without(Intervals.of(reader.skips()))


def _moved(marker: Marker, by_ns: int) -> Marker:
    until_ns = None if marker.until_ns is None else marker.until_ns + by_ns
    return marker._replace(at_ns=marker.at_ns + by_ns, until_ns=until_ns)

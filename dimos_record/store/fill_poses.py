"""Filling in the poses of a recording's messages from what the recording itself knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing

from dimos_record.errors import EditError, OptionError
from dimos_record.store.base import StreamInfo
from dimos_record.store.codecs import CHOOSABLE
from dimos_record.store.files import FileStore
from dimos_record.store.poses import (
    PoseTrack,
    is_tf,
    track_from_stream,
    track_from_tf,
    write_poses,
)
from dimos_record.store.queries import QueryableReader
from dimos_record.store.segments import segments_of
from dimos_record.store.stores import Store

_SOURCES = (
    "nav_msgs.Odometry",
    "geometry_msgs.PoseStamped",
    "geometry_msgs.PoseWithCovarianceStamped",
)


def fill_poses(
    store: Store,
    source: str | None,
    wanted: Callable[[str], bool],
    frame: str,
    root: str | None,
    tolerance_s: float,
) -> dict[str, int]:
    """Fill in poses; see `RecordReplay.fill_poses`.

    Returns:
        How many messages of each topic got a pose.

    Raises:
        EditError: there are edits that are not saved.
    """
    with closing(store.reader()) as reader:
        if reader.edited:
            raise EditError(
                f"{reader.name} has edits that are not saved; save or revert them first"
            )
        track = _track(reader, source, frame, root)
    filled: Counter[str] = Counter()
    for part in _parts(store):
        # the reader is closed first: a file that is open elsewhere cannot become self-contained
        with closing(part.target(append=True).writer) as writer, closing(part.reader()) as reader:
            for info in reader.streams.values():
                if wanted(info.channel) and info.codec in CHOOSABLE:
                    filled[info.topic] += write_poses(reader, writer, info, track, tolerance_s)
    return dict(filled)


def _parts(store: Store) -> list[Store]:
    """The files of a recording, each as a store."""
    if isinstance(store, FileStore) and store.path.is_dir():
        return [FileStore(path) for path in segments_of(store.path)]
    return [store]


def _track(reader: QueryableReader, source: str | None, frame: str, root: str | None) -> PoseTrack:
    info = reader.find(source) if source else _likeliest(reader)
    if is_tf(info):
        transforms = [other for other in reader.streams.values() if is_tf(other)]
        return track_from_tf(reader, transforms, frame, root)
    return track_from_stream(reader, info)


def _likeliest(reader: QueryableReader) -> StreamInfo:
    """The odometry, else a pose stream, else tf.

    Raises:
        OptionError: there is none of these.
    """
    infos = list(reader.streams.values())
    for type_name in _SOURCES:
        for info in infos:
            if info.type_name == type_name:
                return info
    for info in infos:
        if is_tf(info) and not info.latched:
            return info
    raise OptionError(
        f"{reader.name} has no odometry, pose or tf topic to take poses from; "
        f"record one of them together with the sensors"
    )

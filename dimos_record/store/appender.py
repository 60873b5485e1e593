"""Writing messages into a recording from code."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from dimos_record.errors import OptionError, StorageError
from dimos_record.messages import encode, type_name_of
from dimos_record.store.base import StreamInfo
from dimos_record.store.observation import to_pose
from dimos_record.store.writer import RecordingWriter


class StreamAppender:
    """One stream of a recording, to write into. Safe to use from several threads.

    Args:
        writer: gives the writer of the recording: while it is recorded, that of the session.
        info: the stream.
        now_ns: gives the receive time of now: while it is recorded, by the clock of the session.
    """

    def __init__(
        self,
        writer: Callable[[], RecordingWriter],
        info: StreamInfo,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.info = info
        self._writer, self._now_ns = writer, now_ns

    def append(
        self,
        data: Any,
        *,
        ts_ns: int | None = None,
        pose: Any = None,
        tags: Mapping[str, Any] | None = None,
    ) -> int:
        """Write one message and return its id.

        Args:
            data: raw wire bytes, or a message, which is encoded.
            ts_ns: receive time, nanoseconds since the UNIX epoch; now, if it is not given.
            pose: 3 or 7 numbers (x, y, z, qx, qy, qz, qw), or a message that is or has a pose.
            tags: labels to find it by.

        Raises:
            OptionError: a message of another type than the stream's, no pose, or no JSON.
            CodecError: the message cannot be encoded.
            StorageError, DiskFull: it cannot be written.
        """
        is_raw = isinstance(data, (bytes, bytearray, memoryview))
        raw = bytes(data) if is_raw else self._encoded(data)
        where, labels = to_pose(pose), _checked(tags)
        writer = self._writer()
        while True:
            try:
                with writer.lock:  # so that what another thread appends is not older
                    when = self._now_ns() if ts_ns is None else ts_ns
                    writer.declare(self.info)
                    return writer.append_one(self.info.channel, when, raw, pose=where, tags=labels)
            except StorageError:
                current = self._writer()
                if current is writer:
                    raise
                writer = current  # a new segment has just begun

    def _encoded(self, message: Any) -> bytes:
        type_name = type_name_of(message)
        if type_name != self.info.type_name:
            raise OptionError(
                f"stream {self.info.name} holds {self.info.type_name or 'raw bytes'}, "
                f"not {type_name}"
            )
        return encode(message)


def _checked(tags: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    try:
        json.dumps(tags, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OptionError(f"tags must be JSON: {error}") from None
    return tags

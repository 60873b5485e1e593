"""Writing messages into a recording from code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dimos_record.errors import OptionError
from dimos_record.messages import encode, type_name_of
from dimos_record.store.base import StreamInfo
from dimos_record.store.observation import to_pose
from dimos_record.store.writer import RecordingWriter


class StreamAppender:
    """One stream of a recording that is open for writing."""

    def __init__(self, writer: RecordingWriter, info: StreamInfo) -> None:
        self.info = info
        self._writer = writer

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
            ts_ns: receive time; now, if it is not given.
            pose: 3 or 7 numbers (x, y, z, qx, qy, qz, qw), or a message that is or has a pose.
            tags: labels to find it by.

        Raises:
            OptionError: a message of another type than the stream's.
            CodecError: the message cannot be encoded.
        """
        raw = data if isinstance(data, bytes) else self._encoded(data)
        when = time.time_ns() if ts_ns is None else ts_ns
        return self._writer.append_one(self.info.channel, when, raw, pose=to_pose(pose), tags=tags)

    def _encoded(self, message: Any) -> bytes:
        type_name = type_name_of(message)
        if type_name != self.info.type_name:
            raise OptionError(
                f"stream {self.info.name} holds {self.info.type_name or 'raw bytes'}, "
                f"not {type_name}"
            )
        return encode(message)

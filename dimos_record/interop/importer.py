"""Moving the messages of another tool's file into a recording."""

from __future__ import annotations

import sys
import time
import uuid
from itertools import groupby
from typing import Any

from dimos_record.bus.base import Selection, join_channel
from dimos_record.errors import DecodeError, EditError, UnknownTopic
from dimos_record.interop.exporting import OnProgress, ignore, touching
from dimos_record.interop.importing import ImportedMessage, ImportSource, Wanted
from dimos_record.interop.target import add_markers
from dimos_record.store.latched import parts
from dimos_record.store.observation import Meta
from dimos_record.store.sessions import process_identity
from dimos_record.store.writer import RecordingWriter

_BATCH = 10_000
_BATCH_BYTES = 8_000_000


class Importer:
    """Moves the messages of one source into one writer."""

    def __init__(
        self,
        reader: ImportSource,
        wanted: Wanted,
        writer: RecordingWriter,
        on_progress: OnProgress | None,
    ) -> None:
        self._reader, self._wanted, self._writer = reader, wanted, writer
        self._on_progress = on_progress or ignore
        self._counts: dict[str, int] = {}
        self._channels: dict[str, tuple[str, str | None]] = {}
        self._state: dict[tuple[str, str], ImportedMessage] = {}
        self._batch: list[tuple[str, ImportedMessage]] = []
        self._batch_bytes = 0
        self._first_ns: int | None = None
        self._last_ns = 0

    def run(self) -> dict[tuple[str, str | None], int]:
        """Import everything; how many messages there were per topic and type.

        Raises:
            DecodeError: nothing of it could be converted.
        """
        wanted = self._wanted
        wanted.on_skip = self._report
        for message in self._reader.messages(wanted):
            if wanted.start_ns is not None and message.ts_ns < wanted.start_ns:
                self._keep_state(message)
            else:
                if self._first_ns is None:
                    self._begin(wanted.start_ns or message.ts_ns)
                self._take(message)
        self._refuse_if_nothing_came()
        if self._first_ns is None:
            self._begin(time.time_ns())
        self._flush()
        self._add_markers()
        self._writer.end_session(self._last_ns, "imported", None, 0)
        self._report()
        return {self._channels[channel]: count for channel, count in self._counts.items()}

    def _report(self) -> None:
        self._on_progress(self._reader.done, self._reader.total)

    def _begin(self, start_ns: int) -> None:
        self._first_ns = self._last_ns = start_ns
        self._writer.begin_session(start_ns, _meta(self._reader), split=self._channels.__getitem__)
        state = {id(message): message for message in self._state.values()}
        for message in sorted(state.values(), key=lambda one: one.ts_ns):
            self._take(message._replace(ts_ns=start_ns, publish_ns=start_ns))

    def _keep_state(self, message: ImportedMessage) -> None:
        """Keep what latched topics say before the section: the last, of every child frame."""
        for part in parts(message.type_name, message.data):
            self._state[_channel_of(message), part] = message

    def _take(self, message: ImportedMessage) -> None:
        channel = _channel_of(message)
        if channel not in self._counts:
            self._channels[channel] = (message.topic, message.type_name)
            self._declare(channel, message)
            self._counts[channel] = 0
        self._counts[channel] += 1
        self._last_ns = max(self._last_ns, message.ts_ns)
        self._batch.append((channel, message))
        self._batch_bytes += len(message.data)
        if len(self._batch) >= _BATCH or self._batch_bytes >= _BATCH_BYTES:
            self._flush()
            self._report()

    def _declare(self, channel: str, message: ImportedMessage) -> None:
        info = self._writer.describe(channel, message.data)
        latched = info.latched or message.topic in self._reader.latched
        self._writer.declare(info._replace(latched=latched))

    def _flush(self) -> None:
        with self._writer.transaction():
            for plain, messages in groupby(self._batch, key=_is_plain):
                if plain:
                    self._writer.write(
                        [(one.ts_ns, channel, one.data) for channel, one in messages]
                    )
                else:
                    for channel, one in messages:
                        self._append_with_meta(channel, one)
        self._batch, self._batch_bytes = [], 0

    def _append_with_meta(self, channel: str, message: ImportedMessage) -> None:
        meta = message.meta or Meta()
        tags = dict(meta.tags)
        if message.publish_ns != message.ts_ns:
            tags["publish_ns"] = message.publish_ns
        self._writer.append_one(
            channel, message.ts_ns, message.data, pose=meta.pose, tags=tags, value=meta.value
        )

    def _add_markers(self) -> None:
        """Those that touch the section."""
        section = self._wanted.start_ns, self._wanted.end_ns
        add_markers(self._writer, touching(self._reader.markers, *section))

    def _refuse_if_nothing_came(self) -> None:
        wanted, path, problems = self._wanted, self._reader.path, self._reader.problems
        for pattern in wanted.selection.include:
            asked = Selection.of((pattern,))
            if pattern not in ("*", "**") and not any(
                asked.matches(join_channel(*topic)) for topic in wanted.seen
            ):
                there = ", ".join(sorted({topic for topic, _ in wanted.seen})) or "no topics"
                raise UnknownTopic(f"{path}: no topic matches {pattern!r}; it has {there}")
        if self._first_ns is not None:
            return
        if problems:
            worst = max(problems, key=lambda problem: problem.count)
            raise DecodeError(
                f"nothing of {path} can be converted: {len(problems)} kinds of messages have no "
                f"counterpart, for example {worst.schema or worst.topic} ({worst.reason})"
            )
        if wanted.start_ns is not None or wanted.end_ns is not None:
            raise EditError(f"{path} has no message in the section; nothing was imported")


def _is_plain(item: tuple[str, ImportedMessage]) -> bool:
    """Whether nothing belongs to a message but its bytes and when it was received."""
    _, message = item
    return message.meta is None and message.publish_ns == message.ts_ns


def _channel_of(message: ImportedMessage) -> str:
    # as dimos names them on LCM
    return message.channel or join_channel(message.topic, message.type_name)


def _meta(reader: ImportSource) -> dict[str, Any]:
    return {
        "session": uuid.uuid4().hex,
        **process_identity(),
        "argv": sys.argv,
        "imported_from": str(reader.path.absolute()),
        "imported_at_ns": time.time_ns(),
    }

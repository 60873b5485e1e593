"""The recording that takes up what is left of a damaged one."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dimos_record.store import catalog, migrations, order, schema
from dimos_record.store.connection import (
    PAGE_SIZE,
    connect_for_editing,
    errors_about,
    quote_name,
)
from dimos_record.store.recording_file import remove_recording_file, sync_folder
from dimos_record.store.salvage.messages import Found
from dimos_record.store.salvage.others import Others
from dimos_record.store.salvage.proof import Judge
from dimos_record.store.salvage.streams import Stream
from dimos_record.store.unfinished import unfinished_path

_CHUNK_BYTES = 4_000_000


class NewRecording:
    """Writes a new recording, which gets its name when it is complete.

    Raises:
        StorageError, DiskFull: from everything that writes.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._path = unfinished_path(target)
        self._judges: dict[str, Judge] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._payloads: dict[str, list[tuple[int, bytes]]] = {}
        self._poses: dict[str, list[tuple[float, ...]]] = {}
        self._waiting_bytes = 0
        remove_recording_file(self._path)
        with errors_about(target):
            self._connection = connect_for_editing(self._path, create=True)
            try:
                self._prepare()
            except BaseException:
                self.__exit__()
                raise

    def _prepare(self) -> None:
        for setting in (f"page_size={PAGE_SIZE}", "journal_mode=OFF", "synchronous=OFF"):
            self._connection.execute(f"PRAGMA {setting}")
        migrations.migrate(self._connection, self.target)
        self._connection.execute("BEGIN")

    def __enter__(self) -> NewRecording:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()
        remove_recording_file(self._path)

    def add_stream(self, stream: Stream) -> int:
        """Create the tables of a stream; returns the new number of its topic."""
        info = stream.info
        self._judges[info.name] = Judge(info)
        self._rows[info.name], self._payloads[info.name], self._poses[info.name] = [], [], []
        with errors_about(self.target):
            schema.create_stream(self._connection, info.name)
            number = catalog.save_topic(self._connection, info)
            if stream.topic is not None:  # it has been decided whether dimos can open it
                self._connection.execute("DELETE FROM _streams WHERE name = ?", (info.name,))
            if stream.config is not None and _is_object(stream.config):
                self._connection.execute(
                    "INSERT OR REPLACE INTO _streams VALUES (?, ?)", (info.name, stream.config)
                )
        return number

    def add(self, found: Found) -> None:
        """Write a message."""
        name, row, data = found.stream.info.name, found.row, found.data
        stamp = None if data is None else self._judges[name].stamp(row, data)
        self._rows[name].append(
            (row.id, row.ts, row.value, row.tags, row.seq, row.ts_ns, stamp, row.crc)
        )
        if data is not None:
            self._payloads[name].append((row.id, data))
        if row.pose is not None:
            self._poses[name].append((row.id, *row.pose))
        self._waiting_bytes += 300 + len(data or b"")
        if self._waiting_bytes > _CHUNK_BYTES:
            self._write()

    def _write(self) -> None:
        with errors_about(self.target):
            for name in self._rows:
                self._connection.executemany(
                    f"INSERT INTO {quote_name(name)} "
                    f"(id, ts, value, tags, seq, ts_ns, stamp_ns, crc) "
                    f"VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    self._rows[name],
                )
                self._connection.executemany(
                    f"INSERT INTO {quote_name(f'{name}_blob')} VALUES (?, ?)", self._payloads[name]
                )
                if self._poses[name]:
                    catalog.set_poses(self._connection, name, self._poses[name])
                self._rows[name], self._payloads[name], self._poses[name] = [], [], []
        self._waiting_bytes = 0

    def complete(self, others: Others, topics: Mapping[int, int], last_ns: int) -> None:
        """Write what goes along with the messages.

        Args:
            topics: the new number of each topic, by its old one.
            last_ns: when the last message was received.
        """
        self._write()
        with errors_about(self.target):
            for name in self._rows:
                order.ensure(self._connection, name)
        origin = str(others.meta.get("recording_id", "unknown"))
        with errors_about(self.target):
            others.write(self._connection, topics, last_ns)
            self._connection.executemany(
                "INSERT OR REPLACE INTO _dr_meta VALUES (?, ?)",
                [
                    ("recording_id", uuid.uuid4().hex),
                    ("created_ns", time.time_ns()),
                    ("derived_from", json.dumps([origin])),
                ],
            )

    def finish(self) -> None:
        """Wait until it is on the disk, and give it its name."""
        with errors_about(self.target):
            self._connection.execute("COMMIT")
            self._connection.close()
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(self._path, self.target)
        sync_folder(self.target.parent)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False

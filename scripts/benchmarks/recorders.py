"""The recorders that are compared, and what they stored."""

from __future__ import annotations

import json
import mmap
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.messages import numbered
from benchmarks.processes import Program
from benchmarks.subjects import DIMOS, LCM, OURS, Subjects, dimos_env

OURS_PYTHON = "ours, Python only"
"""Ours without its compiled part."""

_EVENT = struct.Struct(">IqqII")
_EVENT_SYNC = 0xEDA1DA01
"""LCM's event log: sync word, number, time (us), bytes of the channel, bytes of the data."""


class Stored(NamedTuple):
    """What a recorder kept."""

    messages: int
    """Different ones."""
    doubled: int
    file_bytes: int
    own_loss: int | None
    """What the recorder itself says it lost; None if it says nothing."""
    delays_ns: list[tuple[int, int]]
    """(recorded receive time, monotonic time of sending) of each, where it keeps receive times."""


class Recorder(Protocol):
    """A program that records."""

    name: str

    def start(self, url: str, folder: Path, channels: list[str]) -> Program:
        """Record everything on an LCM network into a folder; returns once it is ready."""

    def stored(self, folder: Path) -> Stored:
        """What it kept, once it has ended."""

    def count(self, folder: Path) -> int:
        """How many messages it kept, once it has ended."""


class Ours:
    """`dimos-record record`"""

    def __init__(
        self, command: list[str], name: str = OURS, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._command, self._env = command, env

    def start(self, url: str, folder: Path, channels: list[str]) -> Program:
        command = [*self._command, "record", str(folder / "ours.db"), "--bus", url, "--quiet"]
        program = Program(command, folder / "log", env=self._env)
        program.wait_for_output("Recording to")
        return program

    def stored(self, folder: Path) -> Stored:
        path = folder / "ours.db"
        with closing(sqlite3.connect(path)) as db:
            found = [
                (ts_ns, *numbered(end))
                for (name,) in db.execute("SELECT stream FROM _dr_topics").fetchall()
                for ts_ns, end in db.execute(
                    f'SELECT ts_ns, substr(data, -16) FROM "{name}" JOIN "{name}_blob" USING (id)'
                )
            ]
            ((packets, meta),) = db.execute("SELECT lost_before_reception, meta FROM _dr_sessions")
            (dropped,) = db.execute("SELECT sum(dropped) FROM _dr_account").fetchone()
        messages = sum(sender["lost"] for sender in json.loads(meta)["senders"])
        return _stored(found, path, (messages or packets or 0) + (dropped or 0))

    def count(self, folder: Path) -> int:
        with closing(sqlite3.connect(folder / "ours.db")) as db:
            names = [name for (name,) in db.execute("SELECT stream FROM _dr_topics")]
            return _rows(db, names)


class LcmLogger:
    """LCM's own recorder, written in C."""

    name = LCM

    def start(self, url: str, folder: Path, channels: list[str]) -> Program:
        port = int(url.partition("?")[0].rpartition(":")[2])
        program = Program(
            ["lcm-logger", f"--lcm-url={url}", str(folder / "log.lcm")], folder / "log"
        )
        program.wait_for_port(port)
        return program

    def stored(self, folder: Path) -> Stored:
        path = folder / "log.lcm"
        return _stored(list(_events(path)), path, None)

    def count(self, folder: Path) -> int:
        return sum(1 for _ in _events(folder / "log.lcm"))


class DimosRecorder:
    """dimos's `TransportRecorder`, which `dimos --record` runs."""

    name = DIMOS

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def start(self, url: str, folder: Path, channels: list[str]) -> Program:
        command = self._subjects.dimos_program("record", folder / "dimos.db", *channels)
        program = Program(command, folder / "log", env=dimos_env(url))
        program.wait_for_output("ready")
        return program

    def stored(self, folder: Path) -> Stored:
        last = (folder / "log").read_text(errors="replace").strip().splitlines()[-1]
        own_loss = json.loads(last)["dropped"] if last.startswith("{") else None
        size = (folder / "dimos.db").stat().st_size
        return Stored(self.count(folder), 0, size, own_loss, [])

    def count(self, folder: Path) -> int:
        with closing(sqlite3.connect(folder / "dimos.db")) as db:
            return _rows(db, [name for (name,) in db.execute("SELECT name FROM _streams")])


def recorders(subjects: Subjects, *, python_only: bool = False) -> list[Recorder]:
    """The recorders that are on this machine, ours first.

    Args:
        python_only: ours without its compiled part, too.
    """
    found: list[Recorder] = [Ours(subjects.ours)]
    if python_only:
        found.append(Ours(subjects.ours, OURS_PYTHON, {"DIMOS_RECORD_NATIVE": "0"}))
    if subjects.has_lcm_tools:
        found.append(LcmLogger())
    if subjects.dimos_python:
        found.append(DimosRecorder(subjects))
    return found


def _rows(db: sqlite3.Connection, tables: list[str]) -> int:
    return sum(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables)


def _stored(found: list[tuple[int, int, int]], path: Path, own_loss: int | None) -> Stored:
    """Sum up (receive time, number, time of sending) of every message that was kept."""
    different = len({number for _, number, _ in found})
    return Stored(
        messages=different,
        doubled=len(found) - different,
        file_bytes=path.stat().st_size,
        own_loss=own_loss,
        delays_ns=[(received_ns, sent_ns) for received_ns, _, sent_ns in found],
    )


def _events(path: Path) -> Iterator[tuple[int, int, int]]:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
        at = 0
        while at + _EVENT.size <= len(log):
            sync, _, time_us, channel_bytes, data_bytes = _EVENT.unpack_from(log, at)
            end = at + _EVENT.size + channel_bytes + data_bytes
            if sync != _EVENT_SYNC or end > len(log):
                return  # the end of a log that was cut off
            if log[at + _EVENT.size] == ord("/"):  # not LCM's own self-test
                yield time_us * 1000, *numbered(log[end - 16 : end])
            at = end

"""The recorders that are compared, and what they stored."""

from __future__ import annotations

import json
import mmap
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.messages import numbered
from benchmarks.processes import Program
from benchmarks.subjects import DIMOS, LCM, OURS, Subjects, dimos_env

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


class Ours:
    """`dimos-record record`"""

    name = OURS

    def __init__(self, command: list[str]) -> None:
        self._command = command

    def start(self, url: str, folder: Path, channels: list[str]) -> Program:
        command = [*self._command, "record", str(folder / "ours.db"), "--bus", url, "--quiet"]
        program = Program(command, folder / "log")
        program.wait_for_output("Recording to")
        return program

    def stored(self, folder: Path) -> Stored:
        path = folder / "ours.db"
        with sqlite3.connect(path) as db:
            found = [
                (ts_ns, *numbered(end))
                for (name,) in db.execute("SELECT stream FROM _dr_topics").fetchall()
                for ts_ns, end in db.execute(
                    f'SELECT ts_ns, substr(data, -16) FROM "{name}" JOIN "{name}_blob" USING (id)'
                )
            ]
            (before,) = db.execute("SELECT sum(lost_before_reception) FROM _dr_sessions").fetchone()
            (dropped,) = db.execute("SELECT sum(dropped) FROM _dr_account").fetchone()
        return _stored(found, path, (before or 0) + (dropped or 0))


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


class DimosRecorder:
    """dimos's `TransportRecorder`, which `dimos --record` runs."""

    name = DIMOS

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def start(self, url: str, folder: Path, channels: list[str]) -> Program:
        kind = "image" if "Image" in channels[0] else "pose"
        command = self._subjects.dimos_program("record", folder / "dimos.db", kind, *channels)
        program = Program(command, folder / "log", env=dimos_env(url))
        program.wait_for_output("ready")
        return program

    def stored(self, folder: Path) -> Stored:
        path = folder / "dimos.db"
        with sqlite3.connect(path) as db:
            names = [name for (name,) in db.execute("SELECT name FROM _streams")]
            counts = [db.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names]
        last = (folder / "log").read_text(errors="replace").strip().splitlines()[-1]
        own_loss = json.loads(last)["dropped"] if last.startswith("{") else None
        return Stored(sum(counts), 0, path.stat().st_size, own_loss, [])


def recorders(subjects: Subjects) -> list[Recorder]:
    """The recorders that are on this machine, ours first."""
    found: list[Recorder] = [Ours(subjects.ours)]
    if subjects.has_lcm_tools:
        found.append(LcmLogger())
    if subjects.dimos_python:
        found.append(DimosRecorder(subjects))
    return found


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

"""The players that are compared, and the recordings that they play."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from benchmarks.messages import Stream, encoder, schedule
from benchmarks.processes import Program
from benchmarks.subjects import BUSY, DIMOS, LCM, OURS, Subjects, dimos_env

_EVENT = struct.Struct(">IqqII")
_EVENT_SYNC = 0xEDA1DA01


class Player(Protocol):
    """A program that plays a recording of numbered messages."""

    name: str

    def write(self, folder: Path, streams: tuple[Stream, ...], duration_s: float) -> None:
        """Write the recording that is to be played."""

    def start(self, folder: Path, url: str, *, as_fast_as_possible: bool) -> Program:
        """Play it on an LCM network."""


class Ours:
    """`dimos-record play`"""

    name = OURS

    def __init__(self, command: list[str]) -> None:
        self._command = command

    def write(self, folder: Path, streams: tuple[Stream, ...], duration_s: float) -> None:
        """Write the recording with our own writer."""
        from dimos_record.bus.base import split_channel
        from dimos_record.store.writer import RecordingWriter

        writer = RecordingWriter.create(folder / "ours.db")
        writer.begin_session(_START_NS, {}, split=split_channel)
        batch: list[tuple[int, str, bytes]] = []
        for at_ns, channel, data in recorded(streams, duration_s):
            batch.append((_START_NS + at_ns, channel, data))
            if len(batch) == 50:
                writer.write(batch)
                batch = []
        writer.write(batch)
        writer.end_session(_START_NS + int(duration_s * 1e9), "stopped", None, 0)
        writer.close()

    def start(self, folder: Path, url: str, *, as_fast_as_possible: bool) -> Program:
        """Play it."""
        speed = ["--speed", "max"] if as_fast_as_possible else []
        command = [*self._command, "play", str(folder / "ours.db"), "--bus", url, *speed]
        return Program(command, folder / "player.log")


class LcmLogplayer:
    """LCM's own player, written in C."""

    name = LCM

    def write(self, folder: Path, streams: tuple[Stream, ...], duration_s: float) -> None:
        """Write an LCM event log."""
        with open(folder / "log.lcm", "wb") as log:
            for number, (at_ns, channel, data) in enumerate(recorded(streams, duration_s)):
                name, time_us = channel.encode(), (_START_NS + at_ns) // 1000
                log.write(_EVENT.pack(_EVENT_SYNC, number, time_us, len(name), len(data)))
                log.write(name)
                log.write(data)

    def start(self, folder: Path, url: str, *, as_fast_as_possible: bool) -> Program:
        """Play it."""
        speed = ["--speed=100000"] if as_fast_as_possible else []
        command = ["lcm-logplayer", f"--lcm-url={url}", *speed, str(folder / "log.lcm")]
        return Program(command, folder / "player.log")


class BusyLoop:
    """The limit: a loop in C that never sleeps sends LCM's log, which it has in memory."""

    name = BUSY

    def write(self, folder: Path, streams: tuple[Stream, ...], duration_s: float) -> None:
        """Compile it; the log is that of `LcmLogplayer`, if there is one."""
        source = Path(__file__).with_name("busy_loop.c")
        subprocess.run(["cc", "-O2", "-o", folder / "busy_loop", source], check=True)
        if not (folder / "log.lcm").exists():
            LcmLogplayer().write(folder, streams, duration_s)

    def start(self, folder: Path, url: str, *, as_fast_as_possible: bool) -> Program:
        """Play it."""
        network = urlsplit(url)
        how = "at-once" if as_fast_as_possible else "on-time"
        log = str(folder / "log.lcm")
        command = [str(folder / "busy_loop"), log, str(network.hostname), str(network.port), how]
        return Program(command, folder / "player.log")


class DimosReplay:
    """dimos's `store.replay()`, published as its `ReplayModule` does; one stream of poses."""

    name = DIMOS

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def write(self, folder: Path, streams: tuple[Stream, ...], duration_s: float) -> None:
        """Write the recording with dimos's own store."""
        (stream,) = streams
        command = self._subjects.dimos_program(
            "write",
            folder / "dimos.db",
            stream.kind,
            stream.rate_hz,
            int(stream.rate_hz * duration_s),
        )
        with Program(command, folder / "writer.log", env=dimos_env("")) as program:
            program.wait(120)

    def start(self, folder: Path, url: str, *, as_fast_as_possible: bool) -> Program:
        """Play it."""
        command = self._subjects.dimos_program("replay", folder / "dimos.db", "pose")
        return Program(command, folder / "player.log", env=dimos_env(url))


_START_NS = 1_700_000_000_000_000_000


def recorded(streams: tuple[Stream, ...], duration_s: float) -> list[tuple[int, str, bytes]]:
    """What the recordings hold: (ns from the start, channel, data), numbered in that order."""
    encoders = [encoder(stream.kind) for stream in streams]
    return [
        (at_ns, streams[index].channel, encoders[index](number, 0))
        for number, (at_ns, index) in enumerate(schedule(streams, duration_s))
    ]


def players(subjects: Subjects, *, with_dimos: bool) -> list[Player]:
    """The players that are on this machine, ours first and the limit last."""
    found: list[Player] = [Ours(subjects.ours)]
    if subjects.has_lcm_tools:
        found.append(LcmLogplayer())
    if subjects.dimos_python and with_dimos:
        found.append(DimosReplay(subjects))
    if subjects.has_compiler:
        found.append(BusyLoop())
    return found

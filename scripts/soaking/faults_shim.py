"""A disk that stalls and a wall clock that steps, for a process that is started with it."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

_SOURCE = Path(__file__).with_name("faults_shim.c")


class Shim:
    """What is preloaded into a process, and the control of it.

    Args:
        folder: where it is compiled to.
    """

    def __init__(self, folder: Path) -> None:
        library, control = folder / "faults_shim.so", folder / "faults_control"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True
        )
        control.write_bytes(bytes(16))
        with open(control, "r+b") as file:
            self._control = mmap.mmap(file.fileno(), 16)
        self.env: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAULTS_CONTROL": str(control),
        }
        """The environment of the process."""
        self._wall_ns, self._stalled = 0, 0

    def set_wall_clock(self, moved_ns: int) -> None:
        """Move the wall clock, by so much in all."""
        self._wall_ns = moved_ns
        self._write()

    def stall(self, seconds: float) -> None:
        """Let nobody write to a recording for some time."""
        self._stalled = 1
        self._write()
        time.sleep(seconds)
        self._stalled = 0
        self._write()

    def _write(self) -> None:
        self._control[:] = struct.pack("=qq", self._wall_ns, self._stalled)

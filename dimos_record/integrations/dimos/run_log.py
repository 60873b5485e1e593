"""What the processes of a dimos run log: new lines of `main.jsonl`, as they are written."""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from dimos_record.store.base import LogLine

_FILE = "main.jsonl"
_PAGE_BYTES = 1_000_000
"""What is read at a time, and of what was logged before at all."""
_FAR_BEHIND_BYTES = 16_000_000
"""Beyond this, what was logged in between is skipped, and a line says so."""
_NOT_SHOWN = ("func_name", "lineno", "exc_info")


class RunLog:
    """Follows the log of a run. Call it for the lines that are new; close it at the end.

    It begins with the last megabyte of what was logged before, and follows the file when dimos
    begins a new one.

    Args:
        folder: the folder of the run's log.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._file: IO[bytes] | None = None
        self._partial = b""
        self._lock = threading.Lock()

    @classmethod
    def of_this_run(cls) -> RunLog | None:
        """The log of the run that this process belongs to; None where each process has its own."""
        folder = os.environ.get("DIMOS_RUN_LOG_DIR")
        return cls(Path(folder)) if folder else None

    def __call__(self) -> list[LogLine]:
        """The lines since the last call, up to a megabyte of them."""
        with self._lock:
            try:
                return [self._parsed(line) for line in self._read() if line.strip()]
            except OSError:
                return []  # it is gone, or cannot be read now

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _read(self) -> list[bytes]:
        if self._file is None:
            self._file = open(self._path, "rb")  # noqa: SIM115 - held until `close`
            self._skip_to_last(_PAGE_BYTES)
        lines = self._new_lines()
        if not lines and self._was_replaced():
            self._file.close()
            self._file = open(self._path, "rb")  # noqa: SIM115 - as above
            lines = self._new_lines()
        return lines

    def _new_lines(self) -> list[bytes]:
        if self._file is None:
            return []
        skipped = []
        behind = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if behind > _FAR_BEHIND_BYTES:
            self._skip_to_last(_PAGE_BYTES)
            skipped = [f"{behind - _PAGE_BYTES:,} bytes of the log are left out here".encode()]
        *lines, self._partial = (self._partial + self._file.read(_PAGE_BYTES)).split(b"\n")
        return skipped + lines

    def _skip_to_last(self, size: int) -> None:
        """Go on with the first whole line of the last bytes."""
        if self._file is not None and self._file.seek(0, os.SEEK_END) > size:
            self._file.seek(-size, os.SEEK_END)
            self._file.readline()
        elif self._file is not None:
            self._file.seek(0)
        self._partial = b""

    def _was_replaced(self) -> bool:
        """Whether dimos has begun a new file of this name."""
        if self._file is None:
            return False
        mine, there = os.fstat(self._file.fileno()), os.stat(self._path)
        return (mine.st_ino, mine.st_dev) != (there.st_ino, there.st_dev)

    def _parsed(self, line: bytes) -> LogLine:
        text = line.decode(errors="replace")
        now_ns = _now_ns()
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            return LogLine(now_ns, None, None, text)
        if not isinstance(fields, dict):
            return LogLine(now_ns, None, None, text)
        ts_ns = _time_of(fields.pop("timestamp", None)) or now_ns
        level, source = fields.pop("level", None), fields.pop("logger", None)
        event = str(fields.pop("event", ""))
        more = [f"{key}={value}" for key, value in fields.items() if key not in _NOT_SHOWN]
        return LogLine(ts_ns, _text(level), _text(source), " ".join([event, *more]))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _now_ns() -> int:
    return round(datetime.now().timestamp() * 1e6) * 1000


def _time_of(text: Any) -> int | None:
    """UNIX nanoseconds of a time as dimos writes it: `2026-11-20T13:12:39.123456Z`."""
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return round(moment.timestamp() * 1e6) * 1000

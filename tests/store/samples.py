"""Recordings and messages that the tests of the store share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from dimos_lcm.geometry_msgs import PoseStamped
from dimos_lcm.sensor_msgs import Image

from dimos_record.bus import split_channel
from dimos_record.store.writer import RecordingWriter

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
ODOM = "/odom#geometry_msgs.PoseStamped"
ROOT = Path(__file__).parents[2]

Message = tuple[int, str, bytes]
"""(receive time in ns, channel, data)"""


def pose(stamp_ns: int, x: float = 0.0) -> bytes:
    """An encoded PoseStamped."""
    message = PoseStamped()
    message.header.stamp.sec, message.header.stamp.nsec = divmod(stamp_ns, 1_000_000_000)
    message.pose.position.x = x
    return bytes(message.lcm_encode())


def image(encoding: str, pixels: bytes, width: int, height: int) -> bytes:
    """An encoded Image."""
    message = Image()
    message.encoding, message.width, message.height = encoding, width, height
    message.step = len(pixels) // height
    message.data, message.data_length = pixels, len(pixels)
    return bytes(message.lcm_encode())


def messages(count: int, channel: str = "/a", size: int = 100, first: int = 0) -> list[Message]:
    """Numbered messages, 10 ms apart."""
    return [
        (START_NS + i * 10 * MS, channel, str(i).encode().ljust(size, b"."))
        for i in range(first, first + count)
    ]


def begin(writer: RecordingWriter, start_ns: int = START_NS, **meta: object) -> RecordingWriter:
    """Start a session of this process."""
    writer.begin_session(start_ns, {"pid": 0, **meta}, split=split_channel)
    return writer


def end(writer: RecordingWriter, stop_ns: int = START_NS + 1) -> None:
    """End the session and finish the file."""
    writer.end_session(stop_ns, "stopped", 0, 0)
    writer.close()


def record(path: Path, batches: Iterable[list[Message]]) -> Path:
    """A finished recording of one session."""
    writer = begin(RecordingWriter.create(path))
    for batch in batches:
        writer.write(batch)
    end(writer)
    return path


def python(code: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=check,
        timeout=60,
    )


def killed(path: Path, batches: int = 30) -> Path:
    """A recording whose process was killed: with the log and its index beside it."""
    process = python(
        """
        import os, sys
        from pathlib import Path
        from dimos_record.store.sessions import process_identity
        from dimos_record.store.writer import RecordingWriter
        from tests.store.samples import ODOM, START_NS, begin, messages, pose

        writer = begin(RecordingWriter.create(Path(sys.argv[1])), **process_identity())
        for i in range(int(sys.argv[2])):
            writer.write(messages(1, "/a", first=i) + messages(1, "/big", 50_000, first=i))
        os.kill(os.getpid(), 9)
        """,
        path,
        batches,
        check=False,
    )
    if process.returncode != -9:
        raise RuntimeError(process.stderr)
    return path


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Everything in a folder: content, mode and time of change by name."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }

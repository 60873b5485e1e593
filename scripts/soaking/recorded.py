"""Recordings of real messages over LCM, made once per run, for faults that begin with one."""

from __future__ import annotations

import hashlib
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from dimos_record import RecordReplay
from dimos_record.testing import free_lcm_url
from soaking.faults_rig import CLI, Command
from soaking.kill_recorder import stop_for_good
from soaking.traffic import Topic, traffic

TOPICS = (
    Topic("camera", 30, 100_000),
    Topic("odom", 100, 100),
    Topic("scan", 10, 4_000),
)
SECONDS = 3.0

_FOLDER = tempfile.TemporaryDirectory(prefix="soak-recorded-")


@cache
def finished(name: str, **options: Any) -> Path:
    """A recording that ended well: a file, or a folder if the options say so."""
    path = Path(_FOLDER.name) / name
    with (
        traffic(free_lcm_url() + "&recv_buf_size=8000000", TOPICS) as published,
        RecordReplay(path, bus=published.url) as rec,
        rec.recording(min_free_bytes=0, **options),
    ):
        time.sleep(SECONDS)
    return path


@cache
def killed(name: str) -> Path:
    """A recording whose recorder was killed: a part of it is in the log beside it."""
    path = Path(_FOLDER.name) / name
    with traffic(free_lcm_url() + "&recv_buf_size=8000000", TOPICS) as published:
        command = [*CLI, "record", str(path), "--bus", published.url, "--min-free", "0", "-q"]
        with Command(command, path.with_suffix(".log")) as recorder:
            recorder.wait_for("Recording to ")
            time.sleep(SECONDS)
            stop_for_good(recorder)
    return path


def state(path: Path) -> dict[str, Any]:
    """What a recording shows: its messages with their times, its markers and its edits."""
    with RecordReplay(path) as rec:
        reader = rec.reader
        rows: dict[str, str] = {}
        for name in reader.streams:
            digest = hashlib.blake2b()
            for row in reader.rows(name):
                digest.update(b"%d %d " % (row.ts_ns, len(row.data)) + row.data)
            rows[name] = digest.hexdigest()
        return {
            "rows": rows,
            "topics": sorted(info.topic for info in reader.streams.values()),
            "markers": [tuple(marker) for marker in reader.markers()],
            "edited": rec.edited,
            "history": [(entry.text, entry.undone) for entry in rec.history],
        }

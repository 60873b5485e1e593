"""A process that saves a recording and stops for good at one point of it: PATH [POINT].

Without a point it saves, and says so.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dimos_record.edit import progress, replacing, save, save_folder
from dimos_record.edit.new_file import NewFile
from dimos_record.store import open_recording

POINTS: dict[str, tuple[Any, str]] = {
    "looking up what stays": (save, "plan_file"),
    "the new file is there": (NewFile, "create"),
    "copying": (progress.Progress, "add"),
    "all of it is on the disk": (NewFile, "finish"),
    "nobody else may open it": (replacing.Replaceable, "_lock_out_everybody"),
    "it has its name": (replacing, "_put_in_place"),
    "a segment is written": (save_folder, "write_file"),
}
"""Where it can stop: after this function."""


def stop_after(owner: Any, name: str) -> None:
    """Let a function be the last thing that this process does."""
    real: Callable[..., Any] = getattr(owner, name)

    def last(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        print("stopped", flush=True)
        threading.Event().wait()

    setattr(owner, name, last)


if __name__ == "__main__":
    path, *points = sys.argv[1:]
    for point in points:
        stop_after(*POINTS[point])
    reader = open_recording(Path(path))
    print("saving", flush=True)
    save.save(reader, reader.close)
    print("saved", flush=True)

"""Records everything on an LCM network until its standard input ends, as a program of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from dimos_record.bus import Selection, open_bus
from dimos_record.record.options import RecordOptions
from dimos_record.record.session import RecordingSession
from dimos_record.store.target import open_target

if __name__ == "__main__":
    url, path = sys.argv[1:]
    with open_bus(url) as bus:
        session = RecordingSession(bus, open_target(Path(path)), Selection.of(), RecordOptions())
        session.start()
        print("recording", flush=True)
        sys.stdin.read()
        progress = session.stop()
    print(f"received {progress.total.received}, lost {progress.lost}", flush=True)

"""A process that records from a bus until it is killed: URL PATH, then options as NAME=NUMBER."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from dimos_record.bus import open_bus
from tests.record.recordings import session_on

if __name__ == "__main__":
    url, path, *options = sys.argv[1:]
    chosen = {name: float(value) for name, value in (option.split("=") for option in options)}
    with open_bus(url) as bus:
        session_on(bus, Path(path), append=Path(path).exists(), **chosen).start()
        print("recording", flush=True)
        threading.Event().wait()

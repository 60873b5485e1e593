"""Which module of a running dimos blueprint publishes what."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Collection

from dimos_record.bus.networks import may_be_one
from dimos_record.cli.needs_dimos import has_dimos

_TRANSPORTS = {"udpm": "lcm", "zenoh": "zenoh"}
_TIMEOUT_S = 30.0


class ModuleFinder:
    """Asks the blueprint that runs on a bus, if dimos is installed.

    It asks through `dimos-record modules` in a process of its own: dimos takes seconds to load, in
    which a screen of the same process would stand still.
    """

    def __init__(self, bus_url: str) -> None:
        self._url = bus_url
        self._transport = _TRANSPORTS.get(bus_url.partition(":")[0])
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._known: set[str] = set()

    def worth_asking(self, channels: Collection[str]) -> bool:
        """Whether there is somebody to ask, and a channel that was not there the last time."""
        return self._transport is not None and has_dimos() and not self._known >= set(channels)

    def ask(self, channels: Collection[str]) -> dict[str, str]:
        """The module of each channel that a module publishes; empty where no blueprint runs.

        Takes some seconds.
        """
        self._known |= set(channels)
        command = [sys.executable, "-m", "dimos_record.cli.main", "modules", "--json"]
        with self._lock:
            if self._closed:
                return {}
            self._process = process = subprocess.Popen(
                [*command, "--transport", str(self._transport)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        try:
            answer, _ = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return {}
        return self._read(answer) if process.returncode == 0 else {}

    def _read(self, answer: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for module in json.loads(answer):
            for stream in module["streams"]:
                is_here = stream["bus"] is not None and may_be_one(stream["bus"], self._url)
                if stream["direction"] != "in" and is_here:
                    found.setdefault(stream["channel"], module["module"])
        return found

    def close(self) -> None:
        """Ask nobody any more."""
        with self._lock:
            self._closed = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

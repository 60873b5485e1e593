"""Looking into what was logged, and a viewer that writes down what it gets."""

from __future__ import annotations

import importlib
import signal
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from dimos_record.viewer import program


class Logged(NamedTuple):
    """One value."""

    times: dict[str, int | None]
    """By timeline, in ns or as a number; empty for what is static."""
    value: Any


def read_rrd(path: Path) -> dict[tuple[str, str], list[Logged]]:
    """What a file holds: values by entity and component, in the order of the timeline `message`."""
    found = defaultdict(list)
    for chunk in _reader(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        names = [name for name in batch.schema.names if not name.startswith("rerun.controls")]
        times = {
            name: batch.column(name).cast("int64").to_pylist()
            for name in names
            if ":" not in name and not name.startswith("log_")
        }
        for name in (name for name in names if ":" in name):
            for i, value in enumerate(batch.column(name).to_pylist()):
                if value is not None:
                    at = {one: when[i] for one, when in times.items()}
                    found[str(chunk.entity_path), name].append(Logged(at, value))
    return {key: sorted(values, key=_order) for key, values in found.items()}


def _order(logged: Logged) -> int:
    return int(logged.times.get("message") or 0)


def _reader(path: Path) -> Any:
    import rerun

    newer = [int(part) for part in rerun.__version__.split(".")[:2]] >= [0, 41]
    module = importlib.import_module("rerun.chunk" if newer else "rerun.experimental")
    with warnings.catch_warnings():  # that the file has no end yet
        warnings.simplefilter("ignore")
        return module.RrdReader(str(path))


class SavingViewer:
    """Rerun's own program, which takes messages at a port and writes them into a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = program.free_port()
        self._process = program.start(["--save", str(path)], self.port)

    def __enter__(self) -> SavingViewer:
        return self

    def __exit__(self, *exc: object) -> None:
        program.stop(self._process)

    def stall(self, *, over: bool = False) -> None:
        """Take nothing any more, as if the network were gone; or go on."""
        self._process.send_signal(signal.SIGCONT if over else signal.SIGSTOP)

    def wait_for(self, entity: str, component: str, count: int = 1) -> list[Logged]:
        """Wait until so many values of a component are written."""
        give_up_s = time.monotonic() + 60.0
        while True:
            found = self._written().get((entity, component), [])
            if len(found) >= count:
                return found
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{len(found)} of {count} {component} of {entity} are written")
            time.sleep(0.05)

    def _written(self) -> dict[tuple[str, str], list[Logged]]:
        try:
            return read_rrd(self.path)
        except (RuntimeError, ValueError, OSError):  # it ends in the middle of something
            return {}

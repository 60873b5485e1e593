"""Record LCM, replay LCM: one SQLite file per recording.

    from dimos_record import RecordReplay

The names below are imported when they are first used, so that `import dimos_record` costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dimos_record.errors import DimosRecordError
    from dimos_record.record_replay import RecordReplay
    from dimos_record.record_replay import RecordReplay as Recorder
    from dimos_record.replay.player import Player
    from dimos_record.replay.view import ReplayView
    from dimos_record.store.memory import MemoryStore
    from dimos_record.store.observation import Observation

__all__ = [
    "DimosRecordError",
    "MemoryStore",
    "Observation",
    "Player",
    "RecordReplay",
    "Recorder",
    "ReplayView",
]

_HOMES = {
    "DimosRecordError": "dimos_record.errors",
    "MemoryStore": "dimos_record.store.memory",
    "Observation": "dimos_record.store.observation",
    "Player": "dimos_record.replay.player",
    "RecordReplay": "dimos_record.record_replay",
    "ReplayView": "dimos_record.replay.view",
}


def __getattr__(name: str) -> Any:
    public = "RecordReplay" if name == "Recorder" else name
    home = _HOMES.get(public)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), public)


def __dir__() -> list[str]:
    return __all__

"""Playing a recording: its rows back onto a bus, with their original timing."""

from __future__ import annotations

from dimos_record.replay.conflicts import find_publishers
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.player import Player
from dimos_record.replay.source import Source
from dimos_record.replay.stats import PlayStats
from dimos_record.replay.timeline import Timeline

__all__ = ["PlayOptions", "PlayStats", "Player", "Source", "Timeline", "find_publishers"]

"""`kill -9` of recorder, player and editor at any moment."""

from __future__ import annotations

from soaking.harness import Chapter
from soaking.kill_recorder import KILL_RECORDER

CHAPTER = Chapter("kill", "`kill -9`", [KILL_RECORDER])

"""`kill -9` of recorder, player and editor at any moment."""

from __future__ import annotations

from soaking.harness import Chapter
from soaking.kill_editor import KILL_EDITOR
from soaking.kill_player import KILL_PLAYER
from soaking.kill_recorder import KILL_RECORDER

CHAPTER = Chapter(
    "kill",
    "`kill -9`",
    [KILL_RECORDER, KILL_PLAYER, KILL_EDITOR],
    "Real processes, real messages over LCM. The recorder is stopped before it is killed, so that "
    "the kernel can be asked what it had not received yet.",
)

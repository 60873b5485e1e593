"""What the keys do while a recording plays: those of mpv and VLC."""

from __future__ import annotations

from collections.abc import Callable

from dimos_record.cli.keyboard import Keyboard
from dimos_record.cli.times import clock
from dimos_record.errors import OptionError
from dimos_record.replay.player import Player

KEYS = """\
space         pause, resume            . ,        next, previous message
left right    5 s back, forward        [ ]        10 % slower, faster
down up       60 s back, forward       { }        half, double speed
shift-arrows  1 s instead of 5 s       backspace  normal speed
0 1 ... 9     jump to 0, 10 ... 90 %   l          set A, set B, end the loop
q esc         quit                     L          loop everything, or not
"""

_MIN_RATE, _MAX_RATE = 0.01, 1000.0
_SEEKS_S = {
    "left": -5.0,
    "right": 5.0,
    "down": -60.0,
    "up": 60.0,
    "shift-left": -1.0,
    "shift-right": 1.0,
}
_FACTORS = {"[": 0.9, "]": 1.1, "{": 0.5, "}": 2.0}


def suspend(player: Player, keyboard: Keyboard) -> None:
    """Stop this process until it is continued, and hold playback meanwhile.

    Otherwise all that came due in that time would be published at once.
    """
    was_playing = player.state == "playing"
    player.pause()
    keyboard.suspend()
    if was_playing and player.state == "paused":
        player.resume()


class Controls:
    """Keys pressed on a player.

    Args:
        player: what they steer.
        say: shows a line to the person at the keyboard.
        start_s: where looping everything begins.
        loop: whether everything is being looped, or the section ``(a, b)``, in seconds.
    """

    def __init__(
        self,
        player: Player,
        say: Callable[[str], None],
        start_s: float = 0.0,
        loop: bool | tuple[float, float] = False,
    ) -> None:
        self._player = player
        self._say = say
        self._start_s = start_s
        self._loops_all = loop is True
        self._a_s: float | None = None
        self.ab: tuple[float, float] | None = loop if isinstance(loop, tuple) else None
        """The section that is being looped, in seconds."""

    @property
    def loop(self) -> str:
        """What is being looped, for the progress line."""
        if self._a_s is not None:
            return f"A {clock(self._a_s)}"
        return "A-B" if self.ab else "loop" if self._loops_all else ""

    def press(self, key: str) -> bool:
        """Do what a key asks for; False means to quit. A key without meaning does nothing."""
        if key in ("q", "escape"):
            return False
        if key == "?":
            self._say(KEYS.rstrip())
        elif self._player.state != "finished":  # what ended meanwhile stays ended
            try:
                self._steer(key)
            except OptionError as error:
                self._say(str(error))
        return True

    def _steer(self, key: str) -> None:
        player = self._player
        if key == "space":
            player.toggle()
        elif key in _SEEKS_S:
            player.seek(player.position + _SEEKS_S[key])
        elif key.isdigit():
            player.seek(player.duration * int(key) / 10)
        elif key in _FACTORS:
            self._change_rate(player.rate * _FACTORS[key])
        elif key == "backspace":
            player.set_rate(1.0)
        elif key == ".":
            player.play_next()
        elif key == ",":
            player.play_previous()
        elif key == "l":
            self._loop_section()
        elif key == "L":
            self._loop_all()

    def _change_rate(self, rate: float) -> None:
        if _MIN_RATE <= rate <= _MAX_RATE:
            self._player.set_rate(rate)

    def _loop_section(self) -> None:
        """Set A, then B, then end the loop, as `l` does in mpv."""
        here_s = self._player.position
        if self.ab is not None:
            self.ab = None
            self._player.loop(None)
        elif self._a_s is None:
            self._a_s = here_s
        elif here_s != self._a_s:
            section = (min(self._a_s, here_s), max(self._a_s, here_s))
            self._player.loop(*section)
            self.ab, self._a_s, self._loops_all = section, None, False

    def _loop_all(self) -> None:
        if self._loops_all:
            self._player.loop(None)
        else:
            self._player.loop(self._start_s)
        self._loops_all = not self._loops_all
        self.ab = self._a_s = None

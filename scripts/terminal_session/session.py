"""What a person does in the terminal program beside a robot: record, play, cut, undo, save."""

from __future__ import annotations

import re
from collections.abc import Callable

from terminal_session.terminal import WAIT_S, Terminal

RECORDING, SAVED = "walk.db", "walk-edited.db"
LEFT_OUT = "/cmd_vel"
"""The topic that is not selected."""
_HIGHLIGHTED = r"^ (?!{other} )(/\S+)  (?:\d+ topics|\S+  [\d,]+ messages)"
_CHOSEN_LANE = r"^▸ +(?!{other} )(\S+) "
_RECORDED = r"● RECORDING .*?  (\d+):(\d+\.\d)  "
_PLAYHEAD = r"^ . (?:playing|paused|stopped|finished) +(\d+):(\d+\.\d) / "


class Session:
    """Presses keys, and waits for what has to be on the screen after each.

    Args:
        terminal: the terminal program runs in it.
        capture: is called with the name of a step when its screen is there.
    """

    def __init__(self, terminal: Terminal, capture: Callable[[str], None]) -> None:
        self._terminal = terminal
        self._capture = capture

    def select(self) -> None:
        """Select all topics but one."""
        self._terminal.wait_for("10 topics")
        self._press("a", shows="10 selected")
        self._move_down_to(LEFT_OUT, _HIGHLIGHTED)
        self._press("Space", shows="9 selected")
        self._capture("select")

    def record(self, seconds: float) -> None:
        """Record for some time, and stop: then the recording is open on the timeline."""
        self._press("r", shows="Record 9 topics to")
        self._answer(RECORDING, shows="● RECORDING")
        patience_s = WAIT_S + 3 * seconds
        self._reach(_RECORDED, 0.6 * seconds, patience_s)
        self._capture("record")
        self._reach(_RECORDED, seconds, patience_s)
        self._press("r", shows=_PLAYHEAD)
        self._terminal.wait_for(f"^ {RECORDING} .* streams, ")

    def play(self) -> None:
        """Play a little, at half the rate, and pause."""
        self._press("{", shows=r"stopped .* 0\.5x")
        self._press("Space", shows=r"playing .*\n to LCM .* published")
        self._reach(_PLAYHEAD, 1.0, WAIT_S)
        self._capture("play")
        self._press("Space", shows="‖ paused ")

    def look(self) -> None:
        """Seek, put a marker there, and look into the next picture of the camera."""
        self._press("0", shows=_at(0))
        self._press("S-Right", shows=_at(1))
        self._press("k", shows="Label of the marker")
        self._answer("bend", shows="◆bend")
        self._move_down_to("/image", _CHOSEN_LANE)
        self._terminal.press(">")
        self._press("Enter", shows="rgb8")
        self._capture("look")
        self._press("Escape", shows=_without("rgb8"))

    def cut(self, section_s: tuple[float, float]) -> None:
        """Mark a section and cut it out; undo that, and do it again."""
        self._mark(section_s)
        self._capture("mark")
        self._cut()
        self._capture("cut")
        self._press("u", shows="^ Undone: cut ")
        self._terminal.wait_for(_without("╱╱"))
        self._capture("undo")
        self._mark(section_s)
        self._cut()

    def _cut(self) -> None:
        self._press("x", shows="^ Cut .* messages.* u to undo")
        self._terminal.wait_for("2 edits, not saved(?s:.*)╱╱╱")

    def _mark(self, section_s: tuple[float, float]) -> None:
        for key, word, at_s in zip("io", ("in", "out"), section_s, strict=True):
            self._press("g", shows="Go to")
            self._answer(f"{at_s:g}", shows=_at(at_s))
            self._press(key, shows=f" {word} {_clock(at_s)}")

    def save(self) -> None:
        """Save as a new file, and quit."""
        self._press("W", shows="Save as")
        self._answer(SAVED, shows=f"^ Written: .*{SAVED}, ")
        self._capture("save")
        self._press("q", shows="^code 0")

    def _move_down_to(self, end: str, pattern: str) -> None:
        """Move down until what a pattern finds on the screen ends so."""
        found = self._terminal.wait_for(pattern.format(other=""))[1]
        while not found.endswith(end):
            self._terminal.press("Down")
            found = self._terminal.wait_for(pattern.format(other=found))[1]

    def _press(self, key: str, *, shows: str) -> None:
        self._terminal.press(key)
        self._terminal.wait_for(shows)

    def _answer(self, text: str, *, shows: str) -> None:
        """Write something into the window that asks, in place of what it proposes."""
        self._terminal.write(text)
        self._terminal.press("Enter")
        self._terminal.wait_for(shows)

    def _reach(self, pattern: str, seconds: float, timeout_s: float) -> None:
        """Wait until a clock on the screen has come so far."""
        self._terminal.wait_until(
            lambda screen: any(
                60 * int(minutes) + float(rest) >= seconds
                for minutes, rest in re.findall(pattern, screen, re.MULTILINE)
            ),
            f"{seconds:g} s in {pattern!r}",
            timeout_s,
        )


def _at(seconds: float) -> str:
    return rf"(?:paused|stopped) +{_clock(seconds)} / "


def _clock(seconds: float) -> str:
    return rf"{int(seconds // 60)}:{seconds % 60:04.1f}".replace(".", r"\.")


def _without(text: str) -> str:
    return rf"(?s)\A(?!.*{text})"

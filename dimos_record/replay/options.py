"""How a recording is to be played."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dimos_record.bus.base import Selection
from dimos_record.errors import OptionError
from dimos_record.replay.clock import check_rate, clock_channel
from dimos_record.replay.remap import Remap

Pace = Literal["receive", "stamp"]


@dataclass(frozen=True)
class PlayOptions:
    """How a recording is to be played. Positions are seconds from the start of the recording.

    Raises:
        OptionError: a value makes no sense.
        PatternError: a topic pattern cannot be read.
    """

    speed: float = 1.0
    """Recorded seconds per second; `math.inf` is as fast as possible."""
    start_s: float | None = None
    """Where playback begins."""
    end_s: float | None = None
    """Where it ends; messages at that time are not played."""
    loop: bool | tuple[float, float] = False
    """Play again from the start offset when the end is reached, or only ``[a, b)``, where an
    infinite `b` is the end."""
    paused: bool = False
    """Wait for `resume` before the first message."""
    delay_s: float = 0.0
    """Real time to wait before the first message, for subscribers to come up."""
    remap: Mapping[str, str] = field(default_factory=dict)
    """Topic or pattern to the topic it is published as; see `Remap`."""
    pace: Pace = "receive"
    """Publish at the times of reception, or at the times in the headers of the messages."""
    restamp: bool = False
    """Shift header stamps to now, in the bytes."""
    clock_topic: str | None = None
    """Publish the time of playback here, as `std_msgs.Time`."""
    clock_hz: float = 100.0
    """How often, in real time."""
    latched: tuple[str, ...] = ()
    """Further topics whose last message is republished after a seek."""
    check_conflicts: bool = True
    """Refuse to publish a topic that somebody is publishing right now."""
    listen_s: float = 1.0
    """How long to listen for such publishers before playback begins."""
    allow_commands: bool = False
    """Publish commands also on a bus that reaches beyond this machine."""
    commands: tuple[str, ...] | None = None
    """Which topics are commands, as they are published; see `dimos_record.replay.commands`."""
    late_after_s: float = 0.005
    """A message published later than this after its time counts as late."""

    def __post_init__(self) -> None:
        check_rate(self.speed)
        _check_range("--start", self.start_s, "--end", self.end_s)
        if isinstance(self.loop, tuple):
            a_s, b_s = self.loop
            check_loop(a_s, None if b_s == math.inf else b_s)
        for option, seconds in (
            ("--delay", self.delay_s),
            ("the time to listen for publishers", self.listen_s),
            ("the lateness that counts", self.late_after_s),
        ):
            _check_seconds(option, seconds)
        if not 0 < self.clock_hz < math.inf:
            raise OptionError(f"--clock-hz {self.clock_hz} makes no sense; use a number above 0")
        if self.pace not in ("receive", "stamp"):
            raise OptionError(f"--pace {self.pace!r} is unknown; use 'receive' or 'stamp'")
        if self.clock_topic is not None:
            clock_channel(self.clock_topic)
        Selection.of(self.latched)
        Selection.of(self.commands or ())
        Remap(self.remap)


def check_loop(a_s: float, b_s: float | None) -> None:
    """Raise `OptionError` unless ``[a_s, b_s)`` is a section that can be looped."""
    _check_range("the loop's start", a_s, "the loop's end", b_s)


def _check_range(start: str, start_s: float | None, end: str, end_s: float | None) -> None:
    """A position may be below 0: a shift moves messages to before the start of the recording."""
    for option, seconds in ((start, start_s), (end, end_s)):
        if seconds is not None and not math.isfinite(seconds):
            raise OptionError(f"{option} cannot be {seconds} s; give seconds")
    if end_s is not None and start_s is not None and end_s <= start_s:
        raise OptionError(
            f"{end} ({end_s} s) must be after {start} ({start_s} s from the start of the recording)"
        )


def _check_seconds(option: str, seconds: float) -> None:
    if not 0 <= seconds < math.inf:
        raise OptionError(f"{option} cannot be {seconds} s; use 0 or more seconds")

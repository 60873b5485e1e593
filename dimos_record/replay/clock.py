"""The clock of a playback: where the playhead is at a moment, and when a position is reached."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable

from dimos_record.bus.base import join_channel, split_channel
from dimos_record.errors import OptionError
from dimos_record.messages import fingerprint

CLOCK_TYPES = ("std_msgs.Time", "builtin_interfaces.Time")
"""Types a clock topic can have; the first, which is that of header stamps, is the default."""


def check_rate(rate: float) -> float:
    """Return a playback rate that makes sense: above 0; infinity is as fast as possible.

    Raises:
        OptionError: it is zero, negative or not a number.
    """
    if not rate > 0:
        raise OptionError(
            f"a playback rate of {rate} makes no sense; use a number above 0, "
            "or 'max' (infinity in Python) for as fast as possible"
        )
    return float(rate)


class PlaybackClock:
    """Maps monotonic time to a position on the recording's timeline (ns since the UNIX epoch).

    It starts stopped. At an infinite rate time does not move it: `reached` does. Not safe to use
    from several threads at once; the player's lock guards it.

    Args:
        position_ns: where it stands.
        rate: recorded seconds per second of real time.
        monotonic_ns: the time source.
    """

    def __init__(
        self,
        position_ns: int,
        rate: float = 1.0,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._rate = check_rate(rate)
        self._anchor_ns = position_ns
        self._since_ns = 0
        """Monotonic time at which the position was `_anchor_ns`, while running."""
        self._running = False

    @property
    def running(self) -> bool:
        """Whether time moves the position."""
        return self._running

    @property
    def rate(self) -> float:
        """Recorded seconds per second of real time; infinity is as fast as possible."""
        return self._rate

    @property
    def position_ns(self) -> int:
        """Where the playhead is now."""
        if not self._running or self._rate == math.inf:
            return self._anchor_ns
        return self._anchor_ns + int((self._monotonic_ns() - self._since_ns) * self._rate)

    def due_ns(self, position_ns: int) -> int | None:
        """Monotonic time at which a position is, or was, reached; None while stopped.

        At an infinite rate every position is due at once.
        """
        if not self._running:
            return None
        if self._rate == math.inf:
            return self._since_ns
        return self._since_ns + int((position_ns - self._anchor_ns) / self._rate)

    def resume(self) -> None:
        """Run from the current position; does nothing when running."""
        if not self._running:
            self._since_ns = self._monotonic_ns()
            self._running = True

    def pause(self) -> None:
        """Stop at the current position."""
        self.seek(self.position_ns)
        self._running = False

    def seek(self, position_ns: int) -> None:
        """Move to a position, and run on from there if running."""
        self._anchor_ns = position_ns
        self._since_ns = self._monotonic_ns()

    def jump(self, from_ns: int, to_ns: int) -> None:
        """Be at one position whenever it would be at another, to the nanosecond."""
        self._anchor_ns += to_ns - from_ns

    def set_rate(self, rate: float) -> None:
        """Change the rate from now on.

        Raises:
            OptionError: the rate is zero, negative or not a number.
        """
        checked = check_rate(rate)
        self.seek(self.position_ns)
        self._rate = checked

    def reached(self, position_ns: int) -> None:
        """Tell where playback has come to at an infinite rate; ignored at any other."""
        if self._rate == math.inf:
            self._anchor_ns = position_ns


def clock_channel(topic: str) -> str:
    """The wire name of a clock topic: `/clock` becomes `/clock#std_msgs.Time`.

    Raises:
        OptionError: the topic names a type that is not a time.
    """
    name, type_name = split_channel(topic)
    if not name or type_name not in (None, *CLOCK_TYPES):
        raise OptionError(
            f"--clock {topic!r}: a clock topic is a name such as /clock, or a name with the type "
            f"{' or '.join(CLOCK_TYPES)}"
        )
    return join_channel(name, type_name or CLOCK_TYPES[0])


def clock_encoder(channel: str) -> Callable[[int], bytes]:
    """A function that encodes a time (ns since the epoch) for a channel of `clock_channel`.

    Both types are two big-endian 32-bit integers, seconds and nanoseconds, after the fingerprint.
    """
    _, type_name = split_channel(channel)
    prefix = fingerprint(type_name or CLOCK_TYPES[0])
    pack = struct.Struct(">Qii").pack
    return lambda time_ns: pack(prefix, *divmod(time_ns, 1_000_000_000))

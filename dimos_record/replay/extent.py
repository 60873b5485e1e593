"""From where to where a recording is played, and what is jumped over on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dimos_record.errors import OptionError
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.source import Source

Section = tuple[int, int]
"""``[a, b)``, in ns on the recording's timeline."""
Loop = bool | tuple[float, float | None]
"""Whether to loop everything, or ``[a, b)`` in seconds; None and infinity are the end."""

_FOREVER_S = 1e10


@dataclass(frozen=True)
class Extent:
    """The section of a recording that is played, less its skips. Times are ns since the epoch.

    Position 0 is `origin_ns`, where the recording began when it was recorded. What was cut since is
    skipped and renumbers nothing; messages that were moved to before it have negative positions.
    """

    name: str
    """The recording, for messages."""
    origin_ns: int
    first_ns: int
    last_ns: int
    begin_ns: int
    """Where playback begins."""
    end_ns: int
    """Where it ends; what is there is not played."""
    skips: tuple[Section, ...] = ()

    @classmethod
    def of(cls, source: Source, options: PlayOptions) -> Extent:
        """The extent of a source, as it is now, with these options."""
        origin_ns = source.origin_ns()
        first_ns, last_ns = source.span_ns() or (origin_ns, origin_ns)
        skips = tuple(source.skips())
        whole = cls(source.name, origin_ns, first_ns, last_ns, first_ns, last_ns + 1, skips)
        end_ns, start_s = whole.end_ns, options.start_s
        if options.end_s is not None:
            end_ns = whole.end_before(min(end_ns, whole.ns(options.end_s)))
        if start_s is None and isinstance(options.loop, tuple):
            start_s = options.loop[0]
        begin_ns = first_ns if start_s is None else whole.nearest(whole.ns(start_s))
        return replace(whole, begin_ns=min(begin_ns, end_ns), end_ns=end_ns)

    def check(self, options: PlayOptions) -> None:
        """Check that something is left to play.

        Raises:
            OptionError: the options ask for a section that holds nothing.
        """
        if options.start_s is not None:
            self._check_inside("--start", options.start_s)
        self.check_loop(options.loop)
        if self.begin_ns >= self.end_ns:
            raise OptionError(
                f"--end ({options.end_s} s) lies before the first message of {self.name} "
                f"({self.seconds(self.first_ns):.3f} s)"
            )

    def ns(self, position_s: float) -> int:
        """The time of a position; of infinity, a time beyond everything."""
        return self.origin_ns + round(min(max(position_s, -_FOREVER_S), _FOREVER_S) * 1e9)

    def seconds(self, ts_ns: int) -> float:
        """The position of a time."""
        return (ts_ns - self.origin_ns) / 1e9

    @property
    def duration_s(self) -> float:
        """Position of the last message."""
        return self.seconds(self.last_ns)

    def shown(self, ts_ns: int) -> float:
        """The position of a time, from the start of the recording to its last message."""
        return self.seconds(min(max(ts_ns, self._low_ns), self.last_ns))

    def nearest(self, ts_ns: int) -> int:
        """The time nearest to one at which playback can be."""
        return self.land(min(max(ts_ns, self._low_ns), self.end_ns))

    @property
    def _low_ns(self) -> int:
        return min(self.origin_ns, self.first_ns)

    def land(self, ts_ns: int) -> int:
        """Where a jump to a time ends: in a skip behind it, if anything follows, else before it."""
        for a_ns, b_ns in self.skips:
            if a_ns <= ts_ns < b_ns:
                return b_ns if b_ns < self.end_ns else a_ns
        return ts_ns

    def end_before(self, ts_ns: int) -> int:
        """Where something ends that is to end at a time: before the skip that it is in."""
        return next((a_ns for a_ns, b_ns in self.skips if a_ns < ts_ns <= b_ns), ts_ns)

    def skips_between(self, start_ns: int, end_ns: int) -> tuple[Section, ...]:
        """The skips that lie ahead at one time and begin before another."""
        return tuple(skip for skip in self.skips if skip[1] > start_ns and skip[0] < end_ns)

    def loop(self, wanted: Loop) -> Section | None:
        """The section to be looped; None where nothing is to be, or nothing is left of it."""
        a_ns, b_ns = self.begin_ns, self.end_ns
        if isinstance(wanted, tuple):
            a_s, b_s = wanted
            a_ns = self.land(self.ns(a_s))
            if b_s is not None and b_s != math.inf:
                b_ns = self.end_before(min(self.ns(b_s), b_ns))
        return (a_ns, b_ns) if wanted and a_ns < b_ns else None

    def check_loop(self, wanted: Loop) -> None:
        """Check that there is something to loop.

        Raises:
            OptionError: there is not.
        """
        if isinstance(wanted, tuple):
            a_s, b_s = wanted
            self._check_inside("the loop's start", a_s)
            if self.loop(wanted) is None:
                raise OptionError(
                    f"nothing of {self.name} is left to loop from {a_s} to {b_s} s: that was cut"
                )

    def _check_inside(self, option: str, position_s: float) -> None:
        at_ns = self.ns(position_s)
        if self.land(at_ns) < self.end_ns:
            return
        if any(a_ns <= at_ns < b_ns for a_ns, b_ns in self.skips):
            raise OptionError(
                f"nothing of {self.name} is left to play from {option} ({position_s:g} s) on: "
                "that was cut"
            )
        raise OptionError(
            f"{option} ({position_s:g} s) lies beyond the end of {self.name} "
            f"({self.seconds(self.end_ns):.3f} s)"
        )

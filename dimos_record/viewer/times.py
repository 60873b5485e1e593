"""Moments on the timelines of the viewer."""

from __future__ import annotations

from typing import Any, NamedTuple

TIME, STAMP, MESSAGE, POSITION = "time", "stamp", "message", "position"
"""The timelines: receive time, time in the header, message number, time from the start."""


class Moment(NamedTuple):
    """When something is, on each timeline; times in ns."""

    ts_ns: int
    """UNIX time."""
    position_ns: int
    stamp_ns: int | None = None
    """UNIX time; None if it is not on this timeline."""
    number: int | None = None
    """None if it is not on this timeline."""

    def later(self, by_ns: int, number: int | None) -> Moment:
        """So much later, when the message of a number came."""
        stamp_ns = None if self.stamp_ns is None else self.stamp_ns + by_ns
        return Moment(self.ts_ns + by_ns, self.position_ns + by_ns, stamp_ns, number)

    def set_in(self, recording: Any) -> None:
        """Let a `rerun.RecordingStream` log at this moment from now on."""
        import numpy as np

        recording.reset_time()
        recording.set_time(TIME, timestamp=np.datetime64(self.ts_ns, "ns"))
        recording.set_time(POSITION, duration=np.timedelta64(self.position_ns, "ns"))
        if self.stamp_ns is not None:
            recording.set_time(STAMP, timestamp=np.datetime64(self.stamp_ns, "ns"))
        if self.number is not None:
            recording.set_time(MESSAGE, sequence=self.number)

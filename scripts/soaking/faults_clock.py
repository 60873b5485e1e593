"""The wall clock is set while a recording runs."""

from __future__ import annotations

from dimos_record.store import open_recording
from dimos_record.testing import free_lcm_url
from soaking.faults_rig import (
    LARGE,
    check_no_hole,
    check_sound,
    demand,
    publishing,
    recorder,
    until,
)
from soaking.faults_shim import Shim
from soaking.harness import Outcome, Round

_HOUR_NS = 3600 * 10**9
_STEPS_NS = (-_HOUR_NS, _HOUR_NS, 365 * 24 * _HOUR_NS)


def clock_set(round_: Round) -> Outcome:
    """Set it back by an hour, forward again, and forward by a year."""
    shim, url = Shim(round_.folder), free_lcm_url() + "&recv_buf_size=8000000"
    path, moved_ns = round_.folder / "walk.db", 0
    with publishing(url) as publisher, recorder(path, url, env=shim.env) as running:
        for count, step_ns in enumerate(_STEPS_NS, 1):
            publisher.wait_for_more(round_.dice.randrange(20, 100))
            moved_ns += step_ns
            shim.set_wall_clock(moved_ns)
            until(lambda count=count: running.said.count("wall clock jumped") == count, "noticed")
        publisher.wait_for_more(50)
        ended = running.stop()
    ended.expect(0, "Nothing was lost", "The wall clock was set 3 times", "by -3600.0")
    check_sound(path)
    check_no_hole(path)
    check_no_hole(path, LARGE)
    with open_recording(path) as reader:
        times = [row.ts_ns for name in reader.streams for row in reader.rows(name)]
        (session,) = reader.sessions()
    span_s = (max(times) - min(times)) / 1e9
    demand(span_s < 60, f"the receive times span {span_s:g} s")
    demand(session.clock_jumps == 3, f"{session.clock_jumps} steps of the clock are noted, not 3")
    return Outcome({"span_s": span_s})

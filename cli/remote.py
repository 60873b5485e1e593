"""`dimos-record remote`: steering the replay that runs inside a dimos blueprint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.needs_dimos import Transport, need_running_dimos
from dimos_record.cli.running import Json
from dimos_record.errors import NotRunning, OptionError

if TYPE_CHECKING:
    from dimos_record.integrations.dimos.running import Running

_REPLAY_CLASS = "ReplayModule"
Action = Callable[["_Replay", list[str]], None]


def remote(
    action: Annotated[
        str,
        typer.Argument(metavar="ACTION", help="pause, resume, seek, rate, step, loop or status."),
    ],
    values: Annotated[
        list[str] | None, typer.Argument(metavar="VALUE", help="What the action needs.")
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which replay, where the blueprint has several."),
    ] = None,
    transport: Transport = None,
    as_json: Json = False,
) -> None:
    """Steer the replay in a running blueprint.

    Says where it is then.

    `pause` and `resume`; `seek TIME` (12.5, 1:23.5, or -10 from the end); `rate RATE` (2, 0.5 or
    max); `step [N]` publishes the next N messages, or the previous if N is negative; `loop A B`
    plays that section over and over, and `loop` alone ends that; `status` changes nothing.

    Examples:

      dimos-record remote pause

      dimos-record remote seek 1:05

      dimos-record remote loop 10 20

      dimos-record remote status --json
    """
    need_running_dimos("steering a replay")
    from dimos_record.cli.tables import print_json
    from dimos_record.integrations.dimos.running import connected

    given = values or []
    do, fewest, most = _ACTIONS.get(action, (None, 0, 0))
    if do is None:
        raise OptionError(f"{action!r} is no action; use one of: {', '.join(_ACTIONS)}")
    if not fewest <= len(given) <= most:
        raise OptionError(f"{action} takes {_many(fewest, most)}, not {len(given)}")
    with connected(transport=transport) as robot:
        replay = _Replay(robot, module)
        do(replay, given)
        status = replay.call("replay_status")
    if as_json:
        print_json(status)
    else:
        print(_sentence(status))


class _Replay:
    """The replay module of a running robot."""

    def __init__(self, robot: Running, name: str | None) -> None:
        replays = [one.name for one in robot.modules() if one.cls == _REPLAY_CLASS]
        if not replays:
            raise NotRunning(
                "no replay is running in the blueprint; start one with: "
                "dimos-record --replay FILE run BLUEPRINT"
            )
        if name is not None and name not in replays:
            raise NotRunning(f"no replay {name!r} is running; these are: {', '.join(replays)}")
        if name is None and len(replays) > 1:
            names = ", ".join(replays)
            raise OptionError(f"several replays are running; name one with --module: {names}")
        self._robot, self._name = robot, name or replays[0]

    def call(self, method: str, *arguments: Any) -> Any:
        return self._robot.call_module(self._name, method, *arguments)

    def position(self, value: str, action: str) -> float:
        from dimos_record.cli.times import Timescale, parse_position

        status = self.call("replay_status")
        scale = Timescale(status["duration_s"], name=status["recording"])
        return parse_position(value, action, scale)


def _seek(replay: _Replay, values: list[str]) -> None:
    replay.call("seek_replay", replay.position(values[0], "seek"))


def _rate(replay: _Replay, values: list[str]) -> None:
    from dimos_record.cli.times import parse_rate

    replay.call("set_replay_rate", parse_rate(values[0], "rate"))


def _step(replay: _Replay, values: list[str]) -> None:
    from dimos_record.cli.times import MINUS

    count = values[0] if values else "1"
    try:
        replay.call("step_replay", int(count.replace(MINUS, "-")))
    except ValueError:
        raise OptionError(f"step {count!r}: write how many messages, such as 5 or -1") from None


def _loop(replay: _Replay, values: list[str]) -> None:
    if len(values) == 1:
        raise OptionError("loop takes A and B, or nothing to end the loop")
    a_and_b: list[float | None] = [replay.position(value, "loop") for value in values]
    replay.call("loop_replay", *(a_and_b or [None]))


_ACTIONS: dict[str, tuple[Action, int, int]] = {
    "pause": (lambda replay, _: replay.call("pause_replay"), 0, 0),
    "resume": (lambda replay, _: replay.call("resume_replay"), 0, 0),
    "seek": (_seek, 1, 1),
    "rate": (_rate, 1, 1),
    "step": (_step, 0, 1),
    "loop": (_loop, 0, 2),
    "status": (lambda replay, _: None, 0, 0),
}


def _many(fewest: int, most: int) -> str:
    if fewest == most:
        return f"{most} value" if most == 1 else f"{most or 'no'} values"
    return f"{fewest} to {most} values"


def _sentence(status: dict[str, Any]) -> str:
    """`playing walk.db, 0:04.2 of 0:15.0 at 2x: 1,234 messages published, none late`"""
    from dimos_record.cli.text import seconds
    from dimos_record.cli.times import clock

    where = f"{clock(status['position_s'])} of {clock(status['duration_s'])}"
    published = sum(status["published"].values())
    late = "none late"
    if status["late"]:
        late = f"{status['late']:,} late ({seconds(status['max_late_s'])} at most)"
    rate = "max" if math.isinf(status["rate"]) else f"{status['rate']:g}x"
    return (
        f"{status['state']} {status['recording']}, {where} at {rate}: "
        f"{published:,} messages published, {late}"
    )

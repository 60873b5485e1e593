"""`replay`: a blueprint with a recording in the place of the modules that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from dimos.core.coordination.blueprints import Blueprint

from dimos_record.bus.base import several
from dimos_record.bus.memory import MemoryBus
from dimos_record.integrations.dimos.added import (
    free_instance_name,
    free_port_name,
    with_module,
)
from dimos_record.integrations.dimos.choices import Choice
from dimos_record.integrations.dimos.opened import Recording
from dimos_record.integrations.dimos.packing import Assignment, PackedView, ReplayPort
from dimos_record.integrations.dimos.plan import ReplayPlan
from dimos_record.integrations.dimos.planning import replay_plan
from dimos_record.integrations.dimos.replaced import without
from dimos_record.integrations.dimos.replay_check import ReplayCheck
from dimos_record.integrations.dimos.replay_module import ReplayModule
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.player import Player
from dimos_record.replay.view import ReplayView

_NAME = "replay"


def replay(
    blueprint: Blueprint,
    recording: Recording,
    *,
    only: Choice | Iterable[Choice] = (),
    keep: Choice | Iterable[Choice] = (),
    disable: Choice | Iterable[Choice] = (),
    speed: float | None = None,
    loop: bool | tuple[float, float] = False,
    start_s: float | None = None,
    end_s: float | None = None,
    restamp: bool = False,
    paused: bool = False,
    clock_topic: str | None = None,
    latched: str | Iterable[str] = (),
    exit_at_end: bool = False,
    allow_commands: bool = False,
    check_conflicts: bool = True,
) -> Blueprint:
    """A blueprint in which a recording publishes what modules would have: these are not started.

    Every module with a recorded `Out` is replaced; one module publishes the recorded bytes on the
    transports that the blueprint would have used, from the moment when all others have started.
    `replay_plan` tells in advance what that means.

    Args:
        blueprint: the blueprint; it is not changed.
        recording: a path, a `RecordReplay` (played from its playhead) or a view of one, whose
            operators are applied where it plays, in another process.
        only, keep, disable: what to replay, what to leave running, what not to start at all; see
            `replay_plan`.
        speed: recorded seconds per second; that of the view, else 1, if None.
        loop, start_s, end_s, restamp, paused, clock_topic, latched: see `PlayOptions`; over those
            of a view.
        exit_at_end: end the run when the end of the recording is reached.
        allow_commands: publish commands also where they can reach other machines.
        check_conflicts: refuse to start when somebody is publishing one of the topics already.

    Raises:
        PlanError: nothing recorded is in the blueprint, or types differ.
        PublisherConflict: a topic would get a second publisher.
        OptionError: an option makes no sense, a choice names nothing, or a function of the view
            cannot travel to another process.
        RecordingNotFound, NotARecording, RecordingDamaged, AmbiguousName, NewerSchema
    """
    packed = PackedView(recording)
    view = packed.open()
    with view.recording:
        plan = replay_plan(blueprint, view, only=only, keep=keep, disable=disable)
        plan.check()
        chosen: dict[str, Any] = {
            "speed": view.options.speed if speed is None else speed,
            "loop": loop or view.options.loop,
            "start_s": view.start_s if start_s is None else start_s,
            "end_s": view.end_s if end_s is None else end_s,
            "restamp": restamp or view.options.restamp,
            "paused": paused or view.options.paused,
            "clock_topic": clock_topic or view.options.clock_topic,
            "latched": (*view.options.latched, *several(latched)),
        }
        _check_options(view, replace(view.options, **chosen))
    return _replayed(
        blueprint,
        plan,
        packed,
        {**chosen, "exit_at_end": exit_at_end},
        allow_commands=allow_commands or view.options.allow_commands,
        listen=check_conflicts,
    )


def _replayed(
    blueprint: Blueprint,
    plan: ReplayPlan,
    view: PackedView,
    options: Mapping[str, Any],
    *,
    allow_commands: bool,
    listen: bool,
) -> Blueprint:
    """The blueprint that a plan makes: some modules are gone, the replay module is there."""
    reasons = _reasons(plan)
    gone = tuple(atom for atom in blueprint.active_blueprints if atom.name in reasons)
    rest, stand_ins = without(blueprint, reasons)
    name = free_instance_name(rest, _NAME)
    ports = _ports(plan)
    assignment = Assignment(view, name, ports, tuple(stand_ins), allow_commands)
    module = ReplayModule.blueprint(assignment=assignment, instance_name=name, **options)
    check = ReplayCheck(assignment, gone, listen=listen)
    return with_module(rest, module, ports).requirements(check)


def _check_options(view: ReplayView, options: PlayOptions) -> None:
    """A player finds out what does not fit the recording, and does nothing else until started."""
    with MemoryBus("memory://replay-options") as bus:
        Player(view, bus, replace(options, remap={})).close()


def _reasons(plan: ReplayPlan) -> dict[str, str]:
    replaced = dict.fromkeys(plan.replaced, f"replaced by {plan.recording}")
    return replaced | dict.fromkeys(plan.disabled, f"disabled for the replay of {plan.recording}")


def _ports(plan: ReplayPlan) -> tuple[ReplayPort, ...]:
    """The outputs of the replay module: one for each stream in the blueprint."""
    taken: set[str] = set()
    ports: dict[str, ReplayPort] = {}
    for one in plan.streams:
        port = ports.get(one.name)
        if port is None:
            name = free_port_name(one.name, ReplayModule, taken)
            port = ReplayPort(name, one.type, one.name, ())
        ports[one.name] = port._replace(channels=(*port.channels, one.stream.channel))
    return tuple(ports.values())

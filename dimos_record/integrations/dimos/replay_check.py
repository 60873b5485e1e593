"""What is checked when a blueprint with a replay is built, before anything of it starts."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from dimos.core.coordination.blueprints import Blueprint, BlueprintAtom
from dimos.core.coordination.module_coordinator import _materialize_transports
from dimos.core.transport_factory import make_transport

from dimos_record.bus import open_bus, split_channel
from dimos_record.errors import CommandsRefused, PlanError, PublisherConflict, RecordingNotFound
from dimos_record.integrations.dimos.packing import Assignment
from dimos_record.integrations.dimos.wires import Wire, wire_of
from dimos_record.replay.commands import is_command
from dimos_record.replay.conflicts import find_publishers

_LISTEN_S = 1.0


class ReplayCheck:
    """A requirement of a blueprint: that the replay in it can be.

    Args:
        assignment: that of the replay module.
        listen: whether to refuse topics that somebody is publishing.
        allow_commands: whether commands may be published beyond this machine.
        commands: which topics are commands; see `dimos_record.replay.commands`.
    """

    def __init__(
        self,
        assignment: Assignment,
        listen: bool,
        allow_commands: bool,
        commands: tuple[str, ...] | None,
    ) -> None:
        self._assignment = assignment
        self._listen = listen
        self._allow_commands = allow_commands
        self._commands = commands

    def __call__(self) -> None:
        """Called by dimos in the coordinator's process.

        Raises:
            RecordingNotFound: the recording has vanished since the blueprint was made.
            PlanError: another replay has taken the place of this one.
            CommandsRefused: commands would reach beyond this machine.
            PublisherConflict: somebody is publishing one of the topics right now.
        """
        path = self._assignment.view.path
        if not Path(path).exists():
            raise RecordingNotFound(f"{path} has been there when replay() was called, and is gone")
        blueprint = _blueprint_that_is_checked(self)
        if blueprint is None:
            return
        channels: dict[str, list[str]] = defaultdict(list)
        for wire in _wires(blueprint, self._atom(blueprint)):
            channels[wire.bus].append(wire.channel)
        with ExitStack() as buses:
            opened = {url: buses.enter_context(open_bus(url)) for url in channels}
            for url, bus in opened.items():
                if not self._allow_commands and not bus.is_local:
                    self._refuse_commands(channels[url], bus.reach)
            for url, bus in opened.items():
                heard = find_publishers(bus, channels[url], _LISTEN_S) if self._listen else {}
                if heard:
                    raise self._conflict(heard, bus.reach)

    def _atom(self, blueprint: Blueprint) -> BlueprintAtom:
        for atom in blueprint.active_blueprints:
            if atom.kwargs.get("assignment") is self._assignment:
                return atom
        raise PlanError(
            f"the replay of {self._assignment.view.path} has been pushed out of the blueprint by "
            f"another module called {self._assignment.name!r}; call replay() on the blueprint that "
            "is made of both, or put them into namespaces"
        )

    def _refuse_commands(self, channels: list[str], reach: str) -> None:
        topics = sorted(
            split_channel(one)[0] for one in channels if is_command(one, self._commands)
        )
        if topics:
            raise CommandsRefused(
                f"{self._assignment.view.path} would publish commands on {', '.join(topics)}, and "
                f"{reach} reaches beyond this machine, where they may move a robot: leave them out "
                "with keep, or allow them with allow_commands (--allow-commands)"
            )

    def _conflict(self, heard: dict[str, int], reach: str) -> PublisherConflict:
        topics = ", ".join(
            f"{split_channel(channel)[0]} ({count / _LISTEN_S:.3g} messages/s)"
            for channel, count in sorted(heard.items())
        )
        return PublisherConflict(
            f"{self._assignment.view.path} cannot be replayed: somebody is publishing {topics} on "
            f"{reach}; stop that one, leave the topics out with keep, or allow it with "
            "check_conflicts=False"
        )


def _blueprint_that_is_checked(check: ReplayCheck) -> Blueprint | None:
    """The blueprint that is being built: of those that our callers have, the one with this check.

    dimos calls checks without telling them the blueprint, and namespaces put around a replay
    rename its topics.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, Blueprint) and any(c is check for c in value.requirement_checks):
                return value
        frame = frame.f_back
    return None


def _wires(blueprint: Blueprint, atom: BlueprintAtom) -> Iterator[Wire]:
    """Where the replay module will publish, with the transports that are in force."""
    pinned = _materialize_transports(blueprint, {})
    for stream in atom.streams:
        name = str(blueprint.remapping_map.get((atom.name, stream.name), stream.name))
        wire = wire_of(pinned.get((name, stream.type)) or make_transport(f"/{name}", stream.type))
        if wire is not None:
            yield wire

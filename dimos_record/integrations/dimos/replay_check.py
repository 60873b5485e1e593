"""What is checked when a blueprint with a replay is built, before anything of it starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType

from dimos.core.coordination.blueprints import Blueprint, BlueprintAtom
from dimos.core.coordination.module_coordinator import _materialize_transports
from dimos.core.transport_factory import make_transport
from dimos.utils.logging_config import setup_logger

from dimos_record.bus import Bus, open_bus, split_channel
from dimos_record.errors import PlanError, PublisherConflict, RecordingNotFound
from dimos_record.integrations.dimos.packing import Assignment
from dimos_record.integrations.dimos.routed_bus import Route, refuse_commands, route_of
from dimos_record.replay.conflicts import find_publishers

logger = setup_logger()

_LISTEN_S = 1.0


class ReplayCheck:
    """A requirement of a blueprint: that the replay in it can be.

    Args:
        assignment: that of the replay module.
        replaced: the modules that are not started.
        listen: whether to refuse topics that somebody is publishing.
    """

    def __init__(
        self, assignment: Assignment, replaced: tuple[BlueprintAtom, ...], *, listen: bool
    ) -> None:
        self._assignment = assignment
        self._replaced = replaced
        self._listen = listen

    def __call__(self) -> None:
        """Called by dimos in the coordinator's process.

        Raises:
            RecordingNotFound: the recording has vanished since the blueprint was made.
            PlanError: another replay has taken the place of this one.
            CommandsRefused: commands would reach beyond this machine.
            PublisherConflict: somebody is publishing one of the topics right now.
        """
        view = self._assignment.view
        if not Path(view.path).exists():
            raise RecordingNotFound(f"{view.path} was there when replay() was called, and is gone")
        blueprint = _blueprint_that_is_checked(self)
        if blueprint is None:
            logger.warning(
                f"Whether somebody publishes the topics of {view.path} already is not checked: the "
                "blueprint that is being built was not found among dimos's variables"
            )
            return
        with ExitStack() as last_first:
            buses: dict[str, Bus] = {}

            def bus_of(url: str) -> Bus:
                if url not in buses:
                    buses[url] = last_first.enter_context(open_bus(url))
                return buses[url]

            routes = list(_routes(blueprint, self._atom(blueprint), bus_of))
            if not self._assignment.allow_commands:
                refuse_commands(routes, view.path, view.commands)
            if self._listen:
                self._refuse_conflicts(routes, buses.values())

    def replaced_in(self, blueprint: Blueprint) -> list[BlueprintAtom]:
        """The modules that are not started, as they would be called in a blueprint.

        Raises:
            PlanError: another replay has taken the place of this one.
        """
        here = self._atom(blueprint)
        namespace = self._assignment.namespace_of(here.instance_name)
        if not namespace:
            return list(self._replaced)
        return [replace(atom, instance_name=namespace + atom.name) for atom in self._replaced]

    def _atom(self, blueprint: Blueprint) -> BlueprintAtom:
        for atom in blueprint.active_blueprints:
            if atom.kwargs.get("assignment") is self._assignment:
                return atom
        raise PlanError(
            f"the replay of {self._assignment.view.path} has been pushed out of the blueprint by "
            f"another module called {self._assignment.name!r}; call replay() on the blueprint that "
            "is made of both, or put them into namespaces"
        )

    def _refuse_conflicts(self, routes: Iterable[Route], buses: Iterable[Bus]) -> None:
        for bus in buses:
            topics = [route.topic for route in routes if route.bus is bus]
            heard = find_publishers(bus, topics, _LISTEN_S)
            if heard:
                found = ", ".join(
                    f"{split_channel(channel)[0]} ({count / _LISTEN_S:.3g} messages/s)"
                    for channel, count in sorted(heard.items())
                )
                raise PublisherConflict(
                    f"{self._assignment.view.path} cannot be replayed: somebody is publishing "
                    f"{found} on {bus.reach}; stop that one, leave the topics out with keep, or "
                    "allow it with check_conflicts=False (--replay-force)"
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


def _routes(
    blueprint: Blueprint, atom: BlueprintAtom, bus_of: Callable[[str], Bus]
) -> Iterator[Route]:
    """Where the replay module will publish, with the transports that are in force."""
    pinned = _materialize_transports(blueprint, {})
    for stream in atom.streams:
        name = str(blueprint.remapping_map.get((atom.name, stream.name), stream.name))
        transport = pinned.get((name, stream.type)) or make_transport(f"/{name}", stream.type)
        yield route_of(f"/{name}", transport, stream.type, bus_of)

"""What a blueprint declares before it is deployed: its modules, their ports, and their wires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from dimos.core.coordination.blueprints import Blueprint, BlueprintAtom
from dimos.core.coordination.module_coordinator import _materialize_transports
from dimos.core.global_config import global_config
from dimos.core.transport_factory import make_transport

from dimos_record.bus.base import split_channel
from dimos_record.integrations.dimos.wires import Wire, wire_of


@dataclass(frozen=True)
class Port:
    """A port of one module of a blueprint."""

    module: str
    """Name of the module's instance: `go2connection`, `robot1/go2connection`."""
    cls: type
    """The module's class."""
    port: str
    """Its name in the class."""
    direction: Literal["in", "out", "inout"]
    name: str
    """Name of the stream, remappings and namespaces applied: `robot1/odom`."""
    type: type
    """dimos's message class."""
    wire: Wire | None
    """Where its bytes travel; None where they do not (WebRTC, ROS, DDS)."""
    active: bool = True
    """Whether its module will be started: False for modules that are disabled already."""

    @property
    def topic(self) -> str:
        """`/robot1/odom`; with a pinned transport, the topic of that."""
        return "/" + self.name if self.wire is None else split_channel(self.wire.channel)[0]

    @property
    def publishes(self) -> bool:
        """Whether the module publishes here, as one of many or not."""
        return self.direction != "in"

    @property
    def is_source(self) -> bool:
        """Whether the module is meant to be the one that publishes here.

        Transforms come from many modules, and what is declared as `IO` may.
        """
        return self.direction == "out" and self.type_name != "tf2_msgs.TFMessage"

    @property
    def type_name(self) -> str | None:
        """The type as it stands on the wire; None for types that travel as a pickle."""
        return message_type_name(self.type)


def message_type_name(type_: type) -> str | None:
    """The wire name of a message class: `geometry_msgs.PoseStamped`; None if it is pickled."""
    return getattr(type_, "msg_name", None) if hasattr(type_, "lcm_encode") else None


def ports(blueprint: Blueprint) -> tuple[Port, ...]:
    """Every port of the modules of a blueprint, in its order; also of the disabled ones."""
    active = {atom.name for atom in blueprint.active_blueprints}
    wires: dict[tuple[str, type], Wire | None] = {}
    found = []
    with _configured(blueprint):
        pinned = _materialize_transports(blueprint, {})
        for atom in blueprint.blueprints:
            for stream, name in _streams(blueprint, atom):
                key = (name, stream.type)
                if key not in wires:
                    transport = pinned.get(key) or make_transport(f"/{name}", stream.type)
                    wires[key] = wire_of(transport)
                port = Port(
                    module=atom.name,
                    cls=atom.module,
                    port=stream.name,
                    direction=stream.direction,
                    name=name,
                    type=stream.type,
                    wire=wires[key],
                    active=atom.name in active,
                )
                found.append(port)
    return tuple(found)


def _streams(blueprint: Blueprint, atom: BlueprintAtom) -> Iterator[tuple[Any, str]]:
    for stream in atom.streams:
        name = blueprint.remapping_map.get((atom.name, stream.name), stream.name)
        if isinstance(name, str):
            yield stream, name


@contextmanager
def _configured(blueprint: Blueprint) -> Iterator[None]:
    """dimos's global configuration as the blueprint overrides it: that chooses the transports."""
    overrides: Mapping[str, Any] = blueprint.global_config_overrides
    before = {name: getattr(global_config, name) for name in overrides}
    global_config.update(**overrides)
    try:
        yield
    finally:
        global_config.update(**before)

"""Adding a module of ours to a blueprint: its names, its ports, and room for it."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, Protocol

from dimos.core.coordination.blueprints import Blueprint, BlueprintAtom, StreamRef
from dimos.core.global_config import global_config
from dimos.core.module import ModuleBase

_HIDDEN = ("config", "ref", "rpc")
"""Names that dimos hides: a port of such a name would not be one."""


class Added:
    """What such a module has to do."""

    name: str
    """Its instance name as long as no namespace is put around the blueprint."""

    def namespace_of(self, instance_name: str | None) -> str:
        """The namespace that was put around the blueprint since: `robot1/`, or nothing."""
        return (instance_name or self.name).removesuffix(self.name)


class AddedPort(Protocol):
    """A port of such a module, for a stream of the blueprint."""

    @property
    def port(self) -> str:
        """Its name in the module."""

    @property
    def message(self) -> type:
        """dimos's message class."""

    @property
    def stream(self) -> str:
        """Name of the stream, as it was when the module was added."""


def free_instance_name(blueprint: Blueprint, name: str) -> str:
    """A name that no module of a blueprint has: `replay`, or `replay2`.

    It serves as part of topics, of options and of environment variables alike.
    """
    taken = {atom.name for atom in blueprint.blueprints}
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}{number}"
    return free


def free_port_name(stream: str, module: type[ModuleBase], taken: set[str]) -> str:
    """A name for the port of a stream: `robot1/odom` becomes `robot1__odom`.

    Args:
        stream: name of the stream.
        module: the class, whose attributes are not to be hidden.
        taken: the names of other ports; this one is added.
    """
    clean = "".join(char if char.isalnum() else "_" for char in stream.replace("/", "__"))
    clean = clean.lstrip("_") or "stream"
    if not clean.isidentifier():
        clean = f"stream_{clean}"
    number, name = 1, clean
    while name in taken or hasattr(module, name) or name in _HIDDEN or keyword.iskeyword(name):
        number += 1
        name = f"{clean}_{number}"
    taken.add(name)
    return name


def blueprint_of(
    module: type[ModuleBase],
    ports: Iterable[AddedPort],
    direction: Literal["in", "out"],
    config: Mapping[str, Any],
) -> Blueprint:
    """A blueprint of a module alone, with ports that its class does not declare."""
    atom = BlueprintAtom(
        kwargs=dict(config),
        module=module,
        streams=tuple(StreamRef(one.port, one.message, direction) for one in ports),
        module_refs=(),
        instance_name=config.get("instance_name"),
    )
    return Blueprint(blueprints=(atom,))


def with_module(blueprint: Blueprint, module: Blueprint, ports: Iterable[AddedPort]) -> Blueprint:
    """A blueprint with one module more, whose ports are on the streams that they are for.

    It gets a worker process more as well: a module that has one for itself would take one of those
    that the blueprint's own modules share. A number of workers on the command line counts as it
    stands.
    """
    (atom,) = module.blueprints
    overrides = blueprint.global_config_overrides
    workers = overrides.get("n_workers", global_config.n_workers) + 1
    names = {(atom.name, one.port): one.stream for one in ports}
    return replace(
        blueprint,
        blueprints=(*blueprint.blueprints, atom),
        remapping_map=MappingProxyType({**blueprint.remapping_map, **names}),
        global_config_overrides=MappingProxyType({**overrides, "n_workers": workers}),
    )

"""What a blueprint says about its recordings: the modules to record, and the file to replay.

A marker is one of the blueprint's requirement checks, one that never objects: so it is kept where
blueprints are composed, put in a namespace, remapped, and pickled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dimos.core.coordination.blueprints import Blueprint, BlueprintAtom
from dimos.core.module import ModuleBase

from dimos_record.errors import OptionError


@dataclass(frozen=True)
class _Recorded:
    """These modules are worth recording: classes, or names of instances."""

    modules: tuple[type[ModuleBase] | str, ...]

    def __call__(self) -> None:
        """Object to nothing."""

    def names(self, atom: BlueprintAtom) -> bool:
        """Whether a module of a blueprint is meant."""
        return any(is_meant(module, atom.name, atom.module) for module in self.modules)


@dataclass(frozen=True)
class _DefaultRecording:
    """This recording is the one to replay."""

    path: str

    def __call__(self) -> None:
        """Object to nothing."""


def default_record_modules(blueprint: Blueprint, *modules: type[ModuleBase] | str) -> Blueprint:
    """Name the modules of a blueprint that are worth recording, beside those named before.

    What is composed of the blueprint keeps the choice, and may add to it.

    Args:
        blueprint: the blueprint; it is not changed.
        modules: classes (every instance of them, in any namespace) or names of instances
            (`driver` also means `robot1/driver`).

    Raises:
        OptionError: no module is given, or something else than a module.
    """
    if not modules:
        raise OptionError("default_record_modules() needs a module: a class, or an instance's name")
    for module in modules:
        _check_module(module)
    return blueprint.requirements(_Recorded(modules))


def _check_module(module: Any) -> None:
    is_class = isinstance(module, type) and issubclass(module, ModuleBase)
    if not is_class and not (isinstance(module, str) and module.strip("/ ")):
        raise OptionError(
            f"default_record_modules({module!r}): give a module's class, or an instance's name"
        )


def default_recording(blueprint: Blueprint, path: str | os.PathLike[str]) -> Blueprint:
    """Name the recording that a bare `--replay` of a blueprint plays.

    Of several, the one that was named last counts.

    Raises:
        OptionError: the name is empty.
    """
    name = os.fspath(path)
    if not name.strip():
        raise OptionError("default_recording() needs the name of a recording: walk.db")
    others = tuple(
        check for check in blueprint.requirement_checks if not isinstance(check, _DefaultRecording)
    )
    return replace(blueprint, requirement_checks=(*others, _DefaultRecording(name)))


def recorded_by_default(blueprint: Blueprint) -> tuple[str, ...]:
    """The instances that `default_record_modules` names, of those that are started.

    Returns:
        Their names, in the order of the blueprint; nothing if none is named.
    """
    markers = list(_markers(blueprint, _Recorded))
    return tuple(
        atom.name
        for atom in blueprint.active_blueprints
        if any(marker.names(atom) for marker in markers)
    )


def recording_of(blueprint: Blueprint) -> str | None:
    """The recording that `default_recording` names; None if there is none."""
    return next((marker.path for marker in _markers(blueprint, _DefaultRecording)), None)


def is_meant(module: type[ModuleBase] | str, name: str, cls: type) -> bool:
    """Whether a class, or the name of an instance in any namespace, means an instance.

    Args:
        module: the class or name that somebody gave.
        name: name of the instance: `robot1/driver`.
        cls: its class.
    """
    if isinstance(module, str):
        return f"/{name}".endswith(f"/{module.strip('/')}")
    return issubclass(cls, module)


def _markers(blueprint: Blueprint, kind: type[Any]) -> Iterator[Any]:
    """The markers of a kind, those first that were added last."""
    return (check for check in reversed(blueprint.requirement_checks) if isinstance(check, kind))

"""What `only`, `keep` and `disable` name: modules or topics of a blueprint."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dimos.core.coordination.blueprints import Blueprint, BlueprintAtom

from dimos_record.bus.base import Selection
from dimos_record.errors import OptionError

Choice = Any
"""A module class, a blueprint or atom of it, the name of a class, of an instance or of a namespace,
or a topic (patterns allowed)."""


@dataclass(frozen=True)
class Chosen:
    """Modules by instance name, and topics."""

    modules: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.modules or self.topics)


def choose(
    option: str,
    choices: Choice | Iterable[Choice],
    instances: Mapping[str, type],
    topics: Collection[str],
) -> Chosen:
    """Find out what the choices of an option mean for a blueprint.

    Args:
        option: name of the option, for messages.
        choices: one choice or several.
        instances: the classes of the blueprint's modules by instance name.
        topics: the topics that may be named.

    Raises:
        OptionError: a choice is neither a module nor a topic.
    """
    modules: set[str] = set()
    chosen: set[str] = set()
    for choice in _several(choices):
        named = modules_named(choice, instances)
        matching = set() if named else _topics_named(choice, topics)
        if not named and not matching:
            raise _unknown(option, choice, instances, topics)
        modules |= named
        chosen |= matching
    return Chosen(frozenset(modules), frozenset(chosen))


def modules_named(choice: Choice, instances: Mapping[str, type]) -> set[str]:
    """The instances that a choice names: by class, class name, instance name or namespace."""
    if isinstance(choice, type):
        return {name for name, cls in instances.items() if issubclass(cls, choice)}
    if isinstance(choice, Blueprint):
        return set().union(*(modules_named(atom, instances) for atom in choice.blueprints))
    if isinstance(choice, BlueprintAtom):
        exact = {choice.name} & instances.keys()
        return exact or modules_named(choice.module, instances)
    if not isinstance(choice, str) or choice.startswith("/"):
        return set()
    wanted = choice.strip("/")
    return {
        name
        for name, cls in instances.items()
        if wanted in (name, cls.__name__, _kebab(cls.__name__))
        or name.endswith("/" + wanted)
        or name.startswith(wanted + "/")
    }


def _topics_named(choice: Choice, topics: Collection[str]) -> set[str]:
    if not isinstance(choice, str):
        return set()
    return set(filter(Selection.of((choice,)).matches, topics))


def _kebab(class_name: str) -> str:
    """A class name as `dimos list` and `dimos run --disable` spell it."""
    split = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1-\2", class_name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", split).replace("_", "-").lower()


def _several(choices: Any) -> tuple[Any, ...]:
    is_one = isinstance(choices, str) or not isinstance(choices, Iterable)
    return (choices,) if is_one else tuple(choices)


def _unknown(
    option: str, choice: Choice, instances: Mapping[str, type], topics: Collection[str]
) -> OptionError:
    name = choice.__name__ if isinstance(choice, type) else choice
    modules = ", ".join(sorted({cls.__name__ for cls in instances.values()})) or "none"
    also = f"; topics are {', '.join(sorted(topics))}" if topics else ""
    kind = "neither a module nor a topic" if topics else "no module"
    return OptionError(
        f"{option}={name!s} is {kind} of this blueprint; modules are {modules}{also}"
    )

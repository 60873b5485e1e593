"""Taking modules out of a blueprint, and what those get that hold a reference to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from dimos.core.coordination.blueprints import (
    Blueprint,
    BlueprintAtom,
    HostedPlacement,
    ModuleRef,
)
from dimos.core.coordination.module_coordinator import (
    _async_methods_of_spec,
    _resolve_single_ref,
)
from dimos.core.module import is_module_type
from dimos.spec.utils import get_protocol_members, is_spec
from dimos.utils.logging_config import setup_logger

from dimos_record.errors import PlanError

logger = setup_logger()


class ReplacedModule:
    """What a module finds in the place of one that is not started.

    Every method of that one can be called, does nothing and returns None; methods that the `Spec`
    declares ``async`` return an awaitable None. The first call of each is logged.

    Args:
        reference: what to call it in the log: `homing.driver`.
        name: the instance that is not started.
        why: what became of it: `replaced by walk.db`.
        methods: the names of its methods.
        awaited: those of them that return an awaitable.
    """

    def __init__(
        self,
        reference: str,
        name: str,
        why: str,
        methods: Iterable[str],
        awaited: Iterable[str] = (),
    ) -> None:
        self._reference, self._name, self._why = reference, name, why
        self._methods, self._awaited = frozenset(methods), frozenset(awaited)
        self._called: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # Not yet there while pickle restores it: what starts with _ is never a method.
        if name.startswith("_") or name not in self._methods:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

        def nothing(*_args: Any, **_kwargs: Any) -> None:
            self._warn(name)

        async def awaited_nothing(*_args: Any, **_kwargs: Any) -> None:
            self._warn(name)

        return awaited_nothing if name in self._awaited else nothing

    def _warn(self, method: str) -> None:
        if method not in self._called:
            self._called.add(method)
            logger.warning(
                f"{self._reference}.{method}() does nothing: {self._name} is {self._why}"
            )

    def __repr__(self) -> str:
        return f"<{self._name}, {self._why}>"


class StandIn(NamedTuple):
    """A reference that is to be set before its holder starts."""

    consumer: str
    """The instance that holds the reference."""
    rpc_name: str
    """How it is called by RPC, as long as no namespace is put around it."""
    reference: str
    """The attribute."""
    module: ReplacedModule | None
    """What to set it to; None where the reference is optional."""


def without(blueprint: Blueprint, reasons: Mapping[str, str]) -> tuple[Blueprint, list[StandIn]]:
    """A blueprint without some of its instances, and without the references to these.

    dimos would bind such a reference to the next best module (that of another robot), or refuse to
    build. The stand-ins are to be set instead.

    Args:
        blueprint: the blueprint; it is not changed.
        reasons: the instances to take out, and what becomes of them: `replaced by walk.db`.

    Raises:
        PlanError: a reference that could mean several modules would mean one of them now.
    """
    stand_ins = [
        _stand_in(blueprint, atom, ref, reasons)
        for atom in blueprint.active_blueprints
        for ref in atom.module_refs
        if atom.name not in reasons and _provider(blueprint, atom, ref) in reasons
    ]
    settled = {(one.consumer, one.reference) for one in stand_ins}
    kept = [
        replace(
            atom,
            module_refs=tuple(r for r in atom.module_refs if (atom.name, r.name) not in settled),
        )
        for atom in blueprint.blueprints
        if atom.name not in reasons
    ]
    rest = replace(
        blueprint,
        blueprints=tuple(kept),
        remapping_map=MappingProxyType(
            {
                (instance, name): target
                for (instance, name), target in blueprint.remapping_map.items()
                if instance not in reasons and (instance, name) not in settled
            }
        ),
        hosted_placements=tuple(_placements(blueprint, reasons)),
    )
    _refuse_other_providers(blueprint, rest)
    return rest, stand_ins


def _refuse_other_providers(blueprint: Blueprint, rest: Blueprint) -> None:
    """Raise if what could be bound to several modules is bound to the one that is left of them."""
    before = {atom.name: atom for atom in blueprint.blueprints}
    for atom in rest.active_blueprints:
        for ref in atom.module_refs:
            provider = _provider(rest, atom, ref)
            if provider is not None and provider != _provider(blueprint, before[atom.name], ref):
                raise PlanError(
                    f"{atom.name}.{ref.name} could mean several modules of the blueprint, and only "
                    f"{provider} would be left of them: choose one with .remappings, or put what "
                    "belongs together into a namespace"
                )


def _provider(blueprint: Blueprint, consumer: BlueprintAtom, ref: ModuleRef) -> str | None:
    """The instance that dimos would bind a reference to; None if there is none yet, or no one."""
    spec = _effective_spec(blueprint, consumer, ref)
    disabled = set(blueprint.disabled_modules_tuple)
    try:
        provider = _resolve_single_ref(consumer, ref, spec, blueprint, disabled)
    except Exception:  # noqa: BLE001 - dimos raises just that; it will again if it is still so
        return None
    return provider if isinstance(provider, str) else None


def _effective_spec(blueprint: Blueprint, consumer: BlueprintAtom, ref: ModuleRef) -> Any:
    remapped = blueprint.remapping_map.get((consumer.name, ref.name))
    return remapped if is_module_type(remapped) or is_spec(remapped) else ref.spec


def _stand_in(
    blueprint: Blueprint, consumer: BlueprintAtom, ref: ModuleRef, reasons: Mapping[str, str]
) -> StandIn:
    provider = _provider(blueprint, consumer, ref) or ""
    module = None
    if not ref.optional:
        cls = next(atom.module for atom in blueprint.blueprints if atom.name == provider)
        module = ReplacedModule(
            f"{consumer.name}.{ref.name}",
            provider,
            reasons[provider],
            {*cls.rpcs, *_methods_of(ref.spec)},
            _async_methods_of_spec(ref.spec),
        )
    return StandIn(consumer.name, _rpc_name(consumer), ref.name, module)


def _methods_of(spec: Any) -> list[str]:
    members = get_protocol_members(spec) if is_spec(spec) else ()
    return [name for name in members if callable(getattr(spec, name, None))]


def _rpc_name(atom: BlueprintAtom) -> str:
    return str(atom.kwargs.get("rpc_name") or atom.instance_name or atom.module.__name__)


def _placements(blueprint: Blueprint, gone: Mapping[str, str]) -> Iterable[HostedPlacement]:
    for placement in blueprint.hosted_placements:
        names = tuple(name for name in placement.module_names if name not in gone)
        if names:
            yield replace(placement, module_names=names)

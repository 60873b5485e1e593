"""Recording a blueprint: with a module of its own, or by a `RecordReplay` beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dimos.core.coordination.blueprints import Blueprint, BlueprintAtom
from dimos.core.coordination.module_coordinator import ModuleCoordinator
from dimos.core.module import ModuleBase
from dimos.utils.logging_config import setup_logger

from dimos_record.bus import Selection
from dimos_record.bus.base import several
from dimos_record.errors import DimosRecordError, DiskFull, OptionError, PlanError
from dimos_record.integrations.dimos.about import about_blueprint, about_run, is_ours
from dimos_record.integrations.dimos.added import (
    free_instance_name,
    free_port_name,
    with_module,
)
from dimos_record.integrations.dimos.declared import Port, ports
from dimos_record.integrations.dimos.markers import recorded_by_default
from dimos_record.integrations.dimos.offers import Offer, described, offers_of
from dimos_record.integrations.dimos.record_module import RecordedPort, RecordModule, RecordTask
from dimos_record.record.codec_choice import codec_chooser
from dimos_record.record.keeper import check_room
from dimos_record.record.options import RecordOptions, parse_ring
from dimos_record.store import open_recording
from dimos_record.store.paths import path_for_writing
from dimos_record.store.recording_file import refuse_if_busy
from dimos_record.store.target import check_target

logger = setup_logger()


def record(
    blueprint: Blueprint,
    recording: str | os.PathLike[str],
    *,
    topics: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    everything: bool = False,
    append: bool = False,
    overwrite: bool = False,
    ring: str | float | Sequence[str] | None = None,
    meta: Mapping[str, Any] | None = None,
    **options: Any,
) -> Blueprint:
    """The same blueprint with a recorder in it, which has the first message of every module.

    Recorded is what the modules publish that `default_record_modules` names; what all of them
    publish, where it names none. Replayed topics are not recorded. Modules that are loaded into the
    running blueprint are recorded, too.

    Args:
        blueprint: the blueprint; it is not changed.
        recording: name of the recording; a bare name means the data folder, where there is one.
        topics: record nothing but these topics (patterns allowed).
        exclude: do not record these topics (patterns allowed).
        everything: record all modules, whatever the blueprint names.
        append: add a session to an existing recording.
        overwrite: replace an existing recording.
        ring: record always, into a folder of which the oldest parts are deleted, so that the last
            `"30m"` or `"20GB"` are there; see `RecordReplay.start_recording`.
        meta: what else is written down with the session; JSON.
        options: the fields of `RecordOptions`.

    Raises:
        OptionError, PatternError: an option makes no sense, or the file is recorded into already.
        PlanError: nothing would be recorded.
        When the blueprint is built: RecordingExists, RecordingBusy, DiskFull, StorageError.
    """
    if append and overwrite:
        raise OptionError("append and overwrite contradict each other; give one of them")
    path = path_for_writing(recording).absolute()
    _refuse_twice(blueprint, path)
    if ring is not None:
        options |= parse_ring(ring)
    chosen = RecordOptions(**options)
    codec_chooser(chosen.codecs)
    selection = Selection.of(several(topics) or ("*",), several(exclude))
    wanted = () if everything else recorded_by_default(blueprint)
    name = free_instance_name(blueprint, str(RecordModule.name))
    published = _published(blueprint, wanted)
    inputs = _inputs([port for port in published if selection.matches(port.topic)])
    if not inputs:
        raise PlanError(_nothing_to_record(published))
    task = RecordTask(
        name=name,
        path=str(path),
        ports=inputs,
        selection=selection,
        modules=tuple(_class_name(blueprint, one) for one in wanted),
        known=frozenset(_names(blueprint)),
        options=chosen,
        append=append,
        overwrite=overwrite,
        meta={**about_blueprint(blueprint), **(meta or {})},
    )
    instance = {} if name == RecordModule.name else {"instance_name": name}
    recorder = RecordModule.blueprint(task=task, **instance)
    writable = _CanBeWritten(path, chosen, append, overwrite)
    return with_module(blueprint, recorder, inputs).requirements(writable)


@dataclass(frozen=True)
class _CanBeWritten:
    """Looks, in the coordinator's process and before anything starts, whether there is a way."""

    path: Path
    options: RecordOptions
    append: bool
    overwrite: bool

    def __call__(self) -> None:
        """Look.

        Raises:
            RecordingExists, RecordingBusy, NotARecording, RecordingDamaged, NewerSchema, DiskFull,
                StorageError: there is none.
        """
        check_target(
            self.path,
            split=self.options.is_split,
            append=self.append,
            overwrite=self.overwrite,
            ring=self.options.is_ring,
        )
        if self.path.is_file() and self.path.stat().st_size:
            with open_recording(self.path) as reader:
                refuse_if_busy(reader.name, reader.sessions())
        if not self.options.is_ring:  # which makes room for itself
            check_disk(self.path, self.options)


def check_disk(path: Path, options: RecordOptions) -> None:
    """Make sure that there is room to begin a recording in a run.

    Raises:
        DiskFull: there is not.
    """
    try:
        check_room(path, options.min_free_bytes)
    except DiskFull:
        raise DiskFull(
            f"less than {options.min_free_bytes / 1e6:,.0f} MB are free on the disk of {path}; "
            "free some space, or record to another disk"
        ) from None


def _refuse_twice(blueprint: Blueprint, path: Path) -> None:
    tasks = (atom.kwargs.get("task") for atom in blueprint.blueprints)
    if any(isinstance(task, RecordTask) and task.path == str(path) for task in tasks):
        raise OptionError(f"the blueprint is recorded to {path} already; choose another name")


def _published(blueprint: Blueprint, wanted: Iterable[str]) -> list[Port]:
    """What the wanted modules publish; all modules, if none is wanted."""
    chosen = set(wanted)
    return [
        port
        for port in ports(blueprint)
        if port.active and port.publishes and not is_ours(port.cls)
        if not chosen or port.module in chosen
    ]


def _inputs(published: Iterable[Port]) -> tuple[RecordedPort, ...]:
    """An input of the recorder for each stream."""
    modules: dict[tuple[str, type], list[str]] = {}
    for port in published:
        modules.setdefault((port.name, port.type), []).append(port.module)
    found = []
    taken: set[str] = set()
    for (name, type_), owners in modules.items():
        port_name = free_port_name(name, RecordModule, taken)
        found.append(RecordedPort(port_name, type_, name, ", ".join(owners)))
    return tuple(found)


def _nothing_to_record(published: Sequence[Port]) -> str:
    if not published:
        return "nothing would be recorded: no module of the blueprint publishes anything"
    there = ", ".join(sorted({port.topic for port in published}))
    return f"nothing would be recorded: no topic is selected of {there}"


def _names(blueprint: Blueprint) -> Iterable[str]:
    for atom in blueprint.blueprints:
        yield atom.name
        yield atom.instance_name or atom.module.__name__


def _class_name(blueprint: Blueprint, instance: str) -> str:
    atoms = {atom.name: atom for atom in blueprint.blueprints}
    return str(atoms[instance].module.name)


# --- behind the methods of `RecordReplay`


def offered_by(module: object) -> dict[str, Offer]:
    """What a module publishes, by channel.

    Args:
        module: a module's class, an atom or a blueprint of it, or a deployed module.

    Raises:
        OptionError: it is something else, or publishes nothing.
    """
    if isinstance(module, type) and issubclass(module, ModuleBase):
        module = Blueprint.create(module)
    if isinstance(module, BlueprintAtom):
        module = Blueprint(blueprints=(module,))
    if isinstance(module, Blueprint):
        offers = offers_of(ports(module))
    elif hasattr(module, "get_stream_descriptors"):
        found = described(module.get_stream_descriptors())
        offers = {offer.channel: offer for offer in found if offer.wire is not None}
    else:
        raise OptionError(
            f"{module!r} is no module; give its class, a blueprint of it, or the deployed module"
        )
    if not offers:
        raise OptionError(f"{module!r} publishes nothing that can be recorded")
    return offers


def offered_by_blueprint(blueprint: Blueprint, everything: bool) -> dict[str, Offer]:
    """What the modules of a blueprint publish that it records by default, or all of them.

    Raises:
        PlanError: it publishes nothing.
    """
    published = _published(blueprint, () if everything else recorded_by_default(blueprint))
    offers = offers_of(published)
    if not offers:
        raise PlanError(_nothing_to_record(published))
    return offers


def meta_of(blueprint: Blueprint | ModuleCoordinator) -> dict[str, Any]:
    """What is written down with a session about the blueprint, or the run, that is recorded."""
    if isinstance(blueprint, ModuleCoordinator):
        return about_run(blueprint._global_config)
    return about_blueprint(blueprint)


@contextmanager
def following(coordinator: ModuleCoordinator, add: Callable[[Offer], None]) -> Iterator[None]:
    """While entered, offers every stream of a running coordinator, and those that come later.

    Raises:
        DimosRecordError: what `add` raises for the streams that are there. For those that come
            later it is a warning: the coordinator is loading modules then, and goes on.
    """
    published = {offer.channel: offer for offer in described(coordinator.list_streams())}
    entered = False

    def connected(name: str, type_: type, transport: Any) -> None:
        offer = Offer.of(name, type_, transport, None)
        if offer.wire is None:
            return
        try:
            add(published.get(offer.channel, offer))
        except DimosRecordError as error:
            if not entered:
                raise
            logger.warning(f"{offer.topic} is not recorded: {error}")

    with coordinator.observe_transports(connected):
        entered = True
        yield

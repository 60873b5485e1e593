"""Working out what a replay does to a blueprint: the rules behind `ReplayPlan`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dimos.core.coordination.blueprints import Blueprint

from dimos_record.bus.base import split_channel
from dimos_record.errors import OptionError
from dimos_record.integrations.dimos.about import is_ours
from dimos_record.integrations.dimos.choices import Choice, Chosen, choose, modules_named
from dimos_record.integrations.dimos.declared import Port, ports
from dimos_record.integrations.dimos.opened import Recording, view_of
from dimos_record.integrations.dimos.plan import ReplayedStream, ReplayPlan
from dimos_record.replay.commands import is_command
from dimos_record.replay.publishable import is_publishable
from dimos_record.replay.remap import Remap
from dimos_record.replay.view import ReplayView
from dimos_record.store.base import StreamInfo


def replay_plan(
    blueprint: Blueprint,
    recording: Recording,
    *,
    only: Choice | Iterable[Choice] = (),
    keep: Choice | Iterable[Choice] = (),
    disable: Choice | Iterable[Choice] = (),
) -> ReplayPlan:
    """What replaying a recording will do to a blueprint.

    Every module with a recorded `Out` is replaced, unless it is chosen otherwise. A choice is a
    module (its class, the name of its class or instance, or a namespace) or a topic.

    Args:
        blueprint: the blueprint; it is not changed.
        recording: a path, a `RecordReplay` or a view of one.
        only: replay nothing but these; where it is not given, a recording that was made with
            `default_record_modules` has its own choice.
        keep: do not replay these: the modules run, the topics come from whoever publishes them.
        disable: do not start these modules, recorded or not.

    Raises:
        OptionError: a choice is neither a module nor a topic, or contradicts another.
        RecordingNotFound, NotARecording, RecordingDamaged, AmbiguousName, NewerSchema
    """
    declared = ports(blueprint)
    instances = {atom.name: atom.module for atom in blueprint.blueprints}
    active = {atom.name for atom in blueprint.active_blueprints}
    with view_of(recording) as view:
        remap = Remap(view.options.remap)
        recorded = [_Recorded.of(info, remap, declared) for info in view.streams]
        topics = [one.topic for one in recorded]
        known = {*topics, *(port.topic for port in declared)}
        wanted = choose("only", only, instances, known)
        kept = choose("keep", keep, instances, known)
        own_choice = () if wanted else _choice_of(view, instances, recorded, kept)
        if own_choice:
            wanted = Chosen(frozenset(own_choice))
        disabled = choose("disable", disable, instances, ()).modules
        planner = _Planner(instances, active, declared, recorded, wanted, kept, disabled)
        plan = planner.plan(view, own_choice)
    return replace(plan, proposal=_proposal(plan, declared))


class _Recorded(NamedTuple):
    """A recorded stream, and the ports of the blueprint that carry it."""

    stream: StreamInfo
    topic: str
    """What it would be published as."""
    ports: tuple[Port, ...]

    @classmethod
    def of(cls, stream: StreamInfo, remap: Remap, declared: Sequence[Port]) -> _Recorded:
        """Matched by the topic on the wire; dimos's own recordings know the stream's name only."""
        topic = split_channel(remap.channel(stream.channel))[0]
        matched = [port for port in declared if port.topic == topic]
        matched = matched or [port for port in declared if "/" + port.name == topic]
        return cls(stream, matched[0].topic if matched else topic, tuple(matched))

    @property
    def owners(self) -> set[str]:
        """The instances that are meant to publish it."""
        return {port.module for port in self.ports if port.is_source}

    @property
    def publishers(self) -> set[str]:
        """The instances that may publish it."""
        return {port.module for port in self.ports if port.publishes}


@dataclass(frozen=True)
class _Planner:
    instances: dict[str, type]
    active: set[str]
    """The instances that would be started without the replay."""
    declared: tuple[Port, ...]
    recorded: list[_Recorded]
    only: Chosen
    keep: Chosen
    disabled: frozenset[str]

    def plan(self, view: ReplayView, own_choice: Sequence[str]) -> ReplayPlan:
        self._check_choices()
        left_out = {one.topic: why for one in self.recorded if (why := self._why_not(one))}
        chosen = [one for one in self.recorded if one.topic not in left_out]
        replaced = self._replaced(chosen)
        on = self.active - replaced.keys() - self.disabled
        left_out |= {one.topic: _runs(one.publishers) for one in chosen if self._is_live(one, on)}
        chosen = [one for one in chosen if one.topic not in left_out]
        running = tuple(module for module in self.instances if module in on)
        live = [port for port in self.declared if port.module in running]
        streams = tuple(self._replayed(one, replaced, live) for one in chosen)
        played = {stream.topic for stream in streams}
        lost = _without_source(live, played)
        return ReplayPlan(
            recording=view.name,
            duration_s=_seconds(view),
            streams=streams,
            replaced=replaced,
            disabled=tuple(sorted(self.disabled - replaced.keys())),
            running=running,
            classes={module: cls.__name__ for module, cls in self.instances.items()},
            partly=self._partly(replaced, played, live),
            without_source=lost,
            never_had_source=frozenset(lost) - _sources(self.declared),
            unused=tuple(one.topic for one in streams if not one.listeners),
            also_live=_publishers_of(played, [p for p in live if p.publishes and not p.is_source]),
            left_out=left_out,
            second_publishers=self._second_publishers(chosen, replaced, live),
            type_conflicts=tuple(filter(None, map(_type_conflict, chosen))),
            chosen_by_recording=tuple(own_choice),
        )

    def _check_choices(self) -> None:
        both = self.keep.modules & (self.disabled | self.only.modules)
        both |= self.keep.topics & self.only.topics
        if both:
            raise OptionError(
                f"keep contradicts another choice for {', '.join(sorted(both))}; name it only once"
            )

    def _why_not(self, one: _Recorded) -> str | None:
        """Why a recorded stream is not published; None if it is."""
        if not is_publishable(one.stream):
            return "plain numbers, which no bus carries"
        if not one.ports:
            return "not in this blueprint"
        if one.topic in self.only.topics:
            return None
        if one.topic in self.keep.topics:
            return "left out by choice"
        if kept := one.owners & self.keep.modules:
            return _runs(kept)
        if self.only:
            chosen = (one.owners or one.publishers) & self.only.modules
            return None if chosen else "not chosen"
        if not one.publishers and is_command(one.topic):
            return "a command whose sender was not recorded; name it in only to replay it"
        return None

    def _is_live(self, one: _Recorded, on: set[str]) -> bool:
        """Whether all who publish something together, such as transforms, are there to do so."""
        shared = bool(one.publishers) and not one.owners
        return shared and one.publishers <= on and one.topic not in self.only.topics

    def _replaced(self, chosen: Iterable[_Recorded]) -> dict[str, tuple[str, ...]]:
        """The instances that the chosen streams replace, in the order of the blueprint."""
        topics: dict[str, list[str]] = {}
        for one in chosen:
            for module in self._owners_to_replace(one):
                topics.setdefault(module, []).append(one.topic)
        return {module: tuple(topics[module]) for module in self.instances if module in topics}

    def _owners_to_replace(self, one: _Recorded) -> set[str]:
        owners = {p.module for p in one.ports if p.is_source and not is_ours(p.cls)}
        if one.topic not in self.only.topics and self.only.modules:
            owners &= self.only.modules
        return owners - self.keep.modules

    def _replayed(
        self, one: _Recorded, replaced: dict[str, tuple[str, ...]], live: Sequence[Port]
    ) -> ReplayedStream:
        port = next((p for p in one.ports if p.publishes), one.ports[0])
        same = [p for p in live if p.topic == port.topic and p.direction != "out"]
        return ReplayedStream(
            stream=one.stream,
            topic=port.topic,
            name=port.name,
            type=port.type,
            wire=port.wire,
            modules=tuple(m for m, topics in replaced.items() if one.topic in topics),
            listeners=tuple(dict.fromkeys(p.module for p in same if not is_ours(p.cls))),
        )

    def _partly(
        self, replaced: Iterable[str], played: set[str], live: Sequence[Port]
    ) -> dict[str, tuple[str, ...]]:
        covered = played | _sources(live)
        lost: dict[str, list[str]] = {}
        for port in self.declared:
            if port.module in replaced and port.is_source and port.topic not in covered:
                lost.setdefault(port.module, []).append(port.topic)
        return {module: tuple(dict.fromkeys(topics)) for module, topics in lost.items()}

    def _second_publishers(
        self,
        chosen: Iterable[_Recorded],
        replaced: dict[str, tuple[str, ...]],
        live: Sequence[Port],
    ) -> dict[str, tuple[str, ...]]:
        """Of those topics for which the replay takes nobody's place."""
        taken_over = {t for m, topics in replaced.items() if m in self.active for t in topics}
        added = {one.topic for one in chosen} - taken_over
        return _publishers_of(added, [port for port in live if port.is_source])


def _runs(modules: Iterable[str]) -> str:
    """Why a topic is not replayed: those who publish it do."""
    names = sorted(modules)
    return f"{', '.join(names)} {'runs' if len(names) == 1 else 'run'}"


def _choice_of(
    view: ReplayView, instances: dict[str, type], recorded: Sequence[_Recorded], kept: Chosen
) -> tuple[str, ...]:
    """The modules that `default_record_modules` named when the recording was made, if here too."""
    names: list[str] = []
    for session in view.recording.reader.sessions():
        default = session.meta.get("default_modules")
        names += default if isinstance(default, list) else []
    chosen: set[str] = set().union(*(modules_named(str(name), instances) for name in names))
    with_outputs: set[str] = set().union(*(one.owners for one in recorded))
    wanted = chosen & with_outputs - kept.modules
    return tuple(module for module in instances if module in wanted)


def _sources(ports: Iterable[Port]) -> set[str]:
    return {port.topic for port in ports if port.publishes}


def _without_source(live: Sequence[Port], played: set[str]) -> dict[str, tuple[str, ...]]:
    fed = played | _sources(live)
    hungry: dict[str, list[str]] = {}
    for port in live:
        if port.direction == "in" and port.topic not in fed:
            hungry.setdefault(port.topic, []).append(port.module)
    return {topic: tuple(dict.fromkeys(modules)) for topic, modules in hungry.items()}


def _publishers_of(topics: Iterable[str], live: Sequence[Port]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for port in live:
        if port.topic in topics:
            found.setdefault(port.topic, []).append(port.module)
    return {topic: tuple(dict.fromkeys(modules)) for topic, modules in found.items()}


def _type_conflict(one: _Recorded) -> str | None:
    port = next((p for p in one.ports if p.type_name != one.stream.type_name), None)
    if port is None:
        return None
    recorded = one.stream.type_name or "untyped (a pickle)"
    return (
        f"{one.topic} was recorded as {recorded} and {port.module} declares it as "
        f"{port.type_name or port.type.__name__}; leave it out with keep, or remap it"
    )


def _seconds(view: ReplayView) -> float:
    """Position of the last message."""
    span = view.span_ns()
    return 0.0 if span is None else (span[1] - view.origin_ns()) / 1e9


def _proposal(plan: ReplayPlan, declared: Sequence[Port]) -> tuple[str, ...]:
    """The modules to replay alone, where all that computes would be replaced; else nothing.

    These are the recorded modules at the beginning of the chain: what they listen to are commands,
    or comes from nowhere in the blueprint. Who sends nothing but commands goes on doing so.
    """
    played = {stream.topic for stream in plan.streams}
    hears = {p.module for p in declared if p.direction == "in" and p.topic in played}
    computing = hears & {p.module for p in declared if p.is_source}
    if not computing & plan.replaced.keys() or computing & set(plan.running):
        return ()
    inside = _sources(declared)
    first = [module for module in plan.replaced if _begins_the_chain(module, declared, inside)]
    sensing = [m for m in first if not all(map(is_command, plan.replaced[m]))]
    if not sensing or len(sensing) == len(plan.replaced):
        return ()
    return tuple(_shortest_name(module, plan.classes) for module in sensing)


def _begins_the_chain(module: str, declared: Sequence[Port], inside: set[str]) -> bool:
    heard = [p.topic for p in declared if p.module == module and p.direction == "in"]
    return all(is_command(topic) or topic not in inside for topic in heard)


def _shortest_name(module: str, classes: dict[str, str]) -> str:
    """The class's name where that is enough to tell it from the others."""
    name = classes[module]
    return name if list(classes.values()).count(name) == 1 else module

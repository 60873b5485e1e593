"""What a replay will do to a blueprint, known before anything starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from dimos_record.errors import PlanError, PublisherConflict
from dimos_record.integrations.dimos.wires import Wire
from dimos_record.store.base import StreamInfo


class ReplayedStream(NamedTuple):
    """A recorded stream that will be published."""

    stream: StreamInfo
    """As the recording describes it."""
    topic: str
    """The topic that it is published as."""
    name: str
    """Name of the stream in the blueprint, namespaces included: `robot1/odom`."""
    type: type
    """The message class that the blueprint declares for it."""
    wire: Wire | None
    modules: tuple[str, ...]
    """The instances that publish it in the blueprint and will not be started."""
    listeners: tuple[str, ...]
    """The instances that receive it."""


@dataclass(frozen=True)
class ReplayPlan:
    """Which modules a recording replaces, and what that means for the others."""

    recording: str
    """Path of the recording."""
    duration_s: float
    streams: tuple[ReplayedStream, ...]
    """What will be published."""
    replaced: dict[str, tuple[str, ...]]
    """Instances that are not started, with their topics that the recording has."""
    disabled: tuple[str, ...]
    """Instances that are not started only because it was asked for."""
    running: tuple[str, ...]
    """Instances that are started."""
    classes: dict[str, str]
    """Class name of each instance."""
    partly: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Replaced instances with those of their topics that will have no publisher."""
    without_source: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Topics that a running instance listens to and nobody publishes, with the listeners."""
    never_had_source: frozenset[str] = frozenset()
    """Those of them that have no source in the blueprint as it is either."""
    unused: tuple[str, ...] = ()
    """Published topics that no running instance listens to."""
    also_live: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Published topics that running instances publish too through an `IO` port, such as tf."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Recorded topics that will not be published, with the reason."""
    second_publishers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Topics that a running instance publishes and the replay would too: an error."""
    type_conflicts: tuple[str, ...] = ()
    """Sentences about topics whose recorded type is not that of the blueprint: an error."""
    chosen_by_recording: tuple[str, ...] = ()
    """The modules that the recording names as those to replay, where that decided."""
    proposal: tuple[str, ...] = ()
    """What to give as `only`, where next to nothing would be left running."""

    def check(self) -> None:
        """Raise if the replay cannot be.

        Raises:
            PlanError: nothing recorded is in the blueprint, or types differ.
            PublisherConflict: a topic would get a second publisher.
        """
        if self.type_conflicts:
            raise PlanError("; ".join(self.type_conflicts))
        if self.second_publishers:
            topics = ", ".join(
                f"{topic} ({', '.join(modules)})"
                for topic, modules in sorted(self.second_publishers.items())
            )
            raise PublisherConflict(
                f"{self.recording}: the replay would be a second publisher of {topics}; "
                "let the module be replaced, or leave the topic out with keep"
            )
        if not self.streams:
            why = "; ".join(f"{topic}: {reason}" for topic, reason in sorted(self.left_out.items()))
            raise PlanError(
                f"{self.recording} has no stream to replay into this blueprint"
                + (f" ({why})" if why else ": it is empty")
            )

    def text(self) -> str:
        """The plan for people, at most 80 columns wide where names allow."""
        from dimos_record.integrations.dimos.plan_text import describe

        return describe(self)

    def __str__(self) -> str:
        return self.text()

    def to_dict(self) -> dict[str, Any]:
        """The plan for programs: what `--dry-run --json` prints."""
        fields = asdict(self)
        fields["never_had_source"] = sorted(self.never_had_source)
        fields["streams"] = [
            {
                "topic": one.topic,
                "stream": one.stream.name,
                "type": one.stream.type_name,
                "modules": list(one.modules),
                "listeners": list(one.listeners),
            }
            for one in self.streams
        ]
        return fields

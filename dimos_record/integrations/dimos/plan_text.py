"""A replay plan for people: what `--dry-run` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from dimos_record.integrations.dimos.plan import ReplayPlan

_WIDTH = 80
_LEFT = 40
"""A left side from this length on gets lines of its own."""


def describe(plan: ReplayPlan) -> str:
    """The plan, section by section; sections without content are left out."""
    streams = "1 stream" if len(plan.streams) == 1 else f"{len(plan.streams)} streams"
    title = f"Replay of {plan.recording} ({plan.duration_s:.1f} s, {streams})"
    lines = [title]
    for heading, entries in _sections(plan):
        rows = list(entries)
        if rows:
            lines += ["", heading, *_table(rows)]
    lines += _advice(plan)
    return "\n".join(lines)


def _sections(plan: ReplayPlan) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
    heard: dict[str, list[str]] = {}
    for stream in plan.streams:
        for module in stream.listeners:
            heard.setdefault(module, []).append(stream.topic)
    yield "Not started, replaced by the recording:", _modules(plan, plan.replaced)
    yield "Not started, as asked for:", [(_name(plan, module), "") for module in plan.disabled]
    yield (
        "Started:",
        [
            (_name(plan, module), "hears " + " ".join(heard[module]) if module in heard else "")
            for module in plan.running
        ],
    )
    yield "Replaced, but these outputs are not replayed:", _modules(plan, plan.partly)
    yield "Inputs without a source:", _inputs(plan)
    yield "Replayed, but no module listens:", [("", " ".join(plan.unused))][: len(plan.unused)]
    yield "Replayed, and published by running modules too:", _topics(plan.also_live)
    yield "Recorded, but not replayed:", _by_reason(plan.left_out)
    yield "ERROR, the replay would be a second publisher:", _topics(plan.second_publishers)
    yield "ERROR, types differ:", [(sentence, "") for sentence in plan.type_conflicts]


def _modules(plan: ReplayPlan, topics: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    return [(_name(plan, module), " ".join(found)) for module, found in topics.items()]


def _topics(modules: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    return [(topic, ", ".join(found)) for topic, found in sorted(modules.items())]


def _inputs(plan: ReplayPlan) -> list[tuple[str, str]]:
    rows = []
    for topic, modules in sorted(plan.without_source.items()):
        before = " (had none before)" if topic in plan.never_had_source else ""
        rows.append((topic, "of " + ", ".join(modules) + before))
    return rows


def _by_reason(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    topics: dict[str, list[str]] = {}
    for topic, reason in sorted(reasons.items()):
        topics.setdefault(reason, []).append(topic)
    return [(reason + ":", " ".join(found)) for reason, found in topics.items()]


def _name(plan: ReplayPlan, module: str) -> str:
    """The class, with the instance where the class does not tell which one is meant."""
    cls = plan.classes[module]
    return cls if list(plan.classes.values()).count(cls) == 1 else f"{cls} ({module})"


def _table(rows: list[tuple[str, str]]) -> list[str]:
    """Two columns; what is long on the right is wrapped, under a left side that is long itself."""
    width = max((len(left) for left, right in rows if right and len(left) < _LEFT), default=0)
    lines = []
    for left, right in rows:
        indent = " " * (width + 4 if width else 2)
        wrapped = textwrap.wrap(
            right, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False
        )
        if wrapped and len(left) <= width:
            lines.append(
                f"  {left:<{width}}  {wrapped.pop(0)}" if width else indent + wrapped.pop(0)
            )
        else:
            lines.append(f"  {left}")
        lines += [indent + line for line in wrapped]
    return lines


def _advice(plan: ReplayPlan) -> list[str]:
    if plan.chosen_by_recording:
        names = ", ".join(_name(plan, module) for module in plan.chosen_by_recording)
        return ["", f"The recording was made to replay {names}; choose others with only."]
    if plan.proposal:
        return [
            "",
            "This leaves next to nothing running. To keep the modules that compute running,",
            "replay only what comes first:",
            f"  --replay-only {','.join(plan.proposal)}",
            f"  .replay(..., only={list(plan.proposal)})",
        ]
    return []

"""A replay plan for people: what `--dry-run` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from dimos_record.integrations.dimos.plan import ReplayPlan

_WIDTH = 80


def describe(plan: ReplayPlan) -> str:
    """The plan, section by section; sections without content are left out."""
    title = f"Replay of {plan.recording} ({plan.duration_s:.1f} s, {len(plan.streams)} streams)"
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
    yield "Replayed, but no module listens:", [(topic, "") for topic in plan.unused]
    yield "Replayed and published by running modules too (IO ports):", _topics(plan.also_live)
    yield "Recorded, but not replayed:", sorted(plan.left_out.items())
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


def _name(plan: ReplayPlan, module: str) -> str:
    """The class, with the instance where the class does not tell which one is meant."""
    cls = plan.classes[module]
    return cls if list(plan.classes.values()).count(cls) == 1 else f"{cls} ({module})"


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(left) for left, right in rows if right), default=0)
    lines = []
    for left, right in rows:
        first = f"  {left:<{width}}  " if right else f"  {left}"
        rest = " " * (width + 4)
        wrapped = textwrap.wrap(
            right, max(_WIDTH - len(rest), 20), break_long_words=False, break_on_hyphens=False
        )
        lines += (
            [first + wrapped[0], *(rest + line for line in wrapped[1:])] if wrapped else [first]
        )
    return lines


def _advice(plan: ReplayPlan) -> list[str]:
    if plan.chosen_by_recording:
        names = ", ".join(_name(plan, module) for module in plan.chosen_by_recording)
        return ["", f"The recording was made to replay {names}; choose others with only."]
    if plan.proposal:
        names = ",".join(plan.proposal)
        code = ", ".join(f'"{name}"' for name in plan.proposal)
        return [
            "",
            "This leaves next to nothing running. To let the modules that compute run, replay",
            f"only what comes first:  --replay-only {names}   (in code: only=[{code}])",
        ]
    return []

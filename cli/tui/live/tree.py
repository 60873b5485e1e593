"""The topics as a tree: module -> topics where a dimos blueprint runs, else by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from dimos_record.bus import split_channel

CALLS = "/rpc"
"""The branch of what dimos's modules ask one another, which is many topics with little in them."""
OTHERS = "no module"
"""What publishes the topics that belong to none of the modules that are known."""


class Row(NamedTuple):
    """A line of the tree: a branch, or a topic."""

    label: str
    depth: int
    channels: tuple[str, ...]
    """Those of the branch, or the one of the topic."""
    branch: str | None = None
    """The name of a branch, by which it is opened and closed; None of a topic."""

    @property
    def key(self) -> str:
        """By which the line is found again when others have come."""
        return f"branch {self.branch}" if self.branch is not None else self.channels[0]


def rows(
    channels: Iterable[str], modules: Mapping[str, str], closed: frozenset[str] = frozenset()
) -> list[Row]:
    """The lines of the tree.

    Args:
        channels: what is to be shown.
        modules: which module publishes a channel, where that is known.
        closed: names of branches that are folded.
    """
    ordered = sorted(channels, key=split_channel)
    if not modules:
        return list(_by_path(ordered, "", 0, closed))
    groups: dict[str, list[str]] = {}
    for channel in ordered:
        groups.setdefault(modules.get(channel, OTHERS), []).append(channel)
    others = groups.pop(OTHERS, [])
    found = []
    for module, published in sorted(groups.items()):
        found.append(Row(module, 0, tuple(published), module))
        if module not in closed:
            found += [Row(split_channel(one)[0], 1, (one,)) for one in published]
    if others:
        found.append(Row(OTHERS, 0, tuple(others), OTHERS))
        if OTHERS not in closed:
            found += _by_path(others, "", 1, closed)
    return found


def _by_path(channels: list[str], prefix: str, depth: int, closed: frozenset[str]) -> Iterator[Row]:
    """Topics of one beginning; where several go on with the same name, that makes a branch."""
    groups: dict[str, list[str]] = {}
    for channel in channels:
        groups.setdefault(_next_part(channel, prefix), []).append(channel)
    for part, group in groups.items():
        if len(group) == 1:
            topic, _ = split_channel(group[0])
            yield Row(topic[len(prefix) :] or topic, depth, tuple(group))
        elif all(split_channel(one)[0] == prefix + part for one in group):
            for channel in group:  # one topic with several types
                yield Row(channel[len(prefix) :], depth, (channel,))
        else:
            branch = prefix + part
            yield Row(part, depth, tuple(group), branch)
            if branch not in closed:
                yield from _by_path(group, branch, depth + 1, closed)


def _next_part(channel: str, prefix: str) -> str:
    """`/camera` of `/camera/left`, then `/left`: up to, and without, the next slash."""
    rest = split_channel(channel)[0][len(prefix) :]
    end = rest.find("/", 1)
    return rest if end < 0 else rest[:end]

"""Publishing topics under other names, given exactly or by pattern."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from dimos_record.bus.base import glob_to_regex, join_channel, split_channel
from dimos_record.errors import OptionError, PatternError
from dimos_record.store.base import StreamInfo

_WILDCARD = re.compile(r"(\*\*|\*|\?|\[[^\]]*\]|\{[^}]*\})")
_PLACEHOLDER = re.compile(r"\*\*|\*|\?")
_MOST_AMBIGUOUS = 2
_GLOB_ENDS = glob_to_regex("/")
"""What `glob_to_regex` puts around a pattern that consists of nothing but the slash."""


class _Rule(NamedTuple):
    source: str
    regex: re.Pattern[str]
    target: list[str]
    """The target cut at its wildcards: one piece more than wildcards."""


class Remap:
    """Where each topic is published.

    Exact names come before patterns, and patterns apply in the order given. In the target of a
    pattern the k-th wildcard stands for what the k-th wildcard of the pattern matched:
    ``{"/camera/*": "/sim/camera/*"}``. A lone ``*`` is every topic: ``{"*": "/replay/*"}``. The
    type of a channel stays.

    Raises:
        OptionError: a target is empty, names a type, or has more wildcards than its pattern.
        PatternError: a pattern cannot be read.
    """

    def __init__(self, mapping: Mapping[str, str]) -> None:
        rules = [_rule(source, target) for source, target in mapping.items()]
        self._rules = sorted(rules, key=lambda rule: bool(_WILDCARD.search(rule.source)))

    def channel(self, channel: str) -> str:
        """The wire name that messages of a recorded wire name are published under."""
        topic, type_name = split_channel(channel)
        for rule in self._rules:
            if found := rule.regex.fullmatch(topic):
                return join_channel(_filled(rule.target, found), type_name)
        return channel

    def check(self, streams: Collection[StreamInfo], recording: str) -> None:
        """Check that every rule applies, and that it makes no two topics one.

        Raises:
            OptionError: a rule matches no topic, or two topics would be published as one.
        """
        recorded = {stream.channel: stream.topic for stream in streams}
        for rule in self._rules:
            if not any(rule.regex.fullmatch(split_channel(channel)[0]) for channel in recorded):
                topics = ", ".join(sorted(recorded.values())) or "no topics"
                raise OptionError(
                    f"--remap {rule.source!r} matches no topic that is played from {recording}; "
                    f"these are {topics}"
                )
        self.check_distinct(streams)

    def check_distinct(self, streams: Iterable[StreamInfo]) -> None:
        """Check that no two topics are made one.

        Raises:
            OptionError: they are.
        """
        origin: dict[str, str] = {}
        for stream in streams:
            other = origin.setdefault(self.channel(stream.channel), stream.topic)
            if other != stream.topic:
                raise OptionError(
                    f"--remap would publish both {other} and {stream.topic} as "
                    f"{split_channel(self.channel(stream.channel))[0]}; give them different targets"
                )


def _rule(source: str, target: str) -> _Rule:
    rule = f"{source}={target}"
    if not target or "#" in target or "#" in source:
        raise OptionError(
            f"--remap {rule!r}: give a topic or pattern and a target without a type, such as "
            "/odom=/replay/odom; the type stays"
        )
    glob_to_regex(source)  # rejects what is not a pattern, with its own sentence
    pieces = ["", "**", ""] if source in ("*", "**") else _WILDCARD.split(source)
    if _ambiguous(pieces) > _MOST_AMBIGUOUS:
        raise PatternError(
            f"--remap {rule!r}: the pattern has too many wildcards that can match the same part "
            "of a name; write fewer"
        )
    regex = "".join(
        f"({_regex_of(piece)})" if i % 2 else _regex_of(piece) for i, piece in enumerate(pieces)
    )
    placeholders = len(_PLACEHOLDER.findall(target))
    if placeholders > len(pieces) // 2:
        raise OptionError(
            f"--remap {rule!r}: the target has {placeholders} wildcards and the pattern only "
            f"{len(pieces) // 2}"
        )
    optional_slash = "" if source.startswith("/") else "/?"
    return _Rule(source, re.compile(optional_slash + regex), _PLACEHOLDER.split(target))


def _ambiguous(pieces: Sequence[str]) -> int:
    """How many wildcards share with the next one what they can match.

    The time to find out that a name does not match grows with its length to that power.
    """
    return sum(
        wildcard[0] in "*{" and not (wildcard == "*" and "/" in behind)
        for wildcard, behind in zip(pieces[1:-2:2], pieces[2:-2:2], strict=True)
    )


def _regex_of(glob: str) -> str:
    """The regular expression of a part of a pattern, without what stands at a pattern's ends."""
    return glob_to_regex("/" + glob)[1 : 1 - len(_GLOB_ENDS)]


def _filled(target: list[str], found: re.Match[str]) -> str:
    parts = [target[0]]
    for matched, piece in zip(found.groups(), target[1:], strict=False):
        parts += (matched, piece)
    return "".join(parts)

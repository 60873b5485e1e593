"""Keeping a replay from moving machines elsewhere: which topics are commands, and where they go.

On a bus that reaches beyond this machine, a recorded command moves every robot that listens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from dimos_record.bus.base import Bus, Selection, split_channel
from dimos_record.errors import CommandsRefused, PatternError

_NAMES = (
    # velocities, and whatever else is called a command
    "*cmd_vel*",
    "*cmd",
    "cmd_{raw,webrtc}",
    "movecmd*",
    "*command{,s}",
    # where to go, and what makes a planner choose where to go
    "goal*",
    "*_goal",
    "target{,_pose}",
    "clicked_point",
    "{way_point,waypoint}*",
    # what a controller follows
    "path",
    "*_path",
    "*trajectory",
    # the hands of an operator, and what an agent is told to do
    "teleop_buttons",
    "*controller_output",
    "{left,right}_delta",
    "joy",
    "human_input",
    # stopping, and no longer stopping
    "stop_movement",
    "*{estop,e_stop}*",
    "*emergency_stop*",
    # dimos's remote calls
    "rpc/**",
)
COMMAND_TOPICS = tuple(pattern for name in _NAMES for pattern in (name, f"**/{name}"))
"""Patterns of the topics that move a robot or make a planner move it, in any namespace.

They are the inputs of dimos's drivers, controllers, planners and teleoperation.
"""

ENVIRONMENT_VARIABLE = "DIMOS_RECORD_COMMAND_TOPICS"
_NAMED_AT_MOST = 10


def command_topics() -> tuple[str, ...]:
    """The patterns that count: of ``DIMOS_RECORD_COMMAND_TOPICS`` (with commas), else the list.

    Raises:
        PatternError: one of the environment variable cannot be read.
    """
    listed = os.environ.get(ENVIRONMENT_VARIABLE, "")
    patterns = tuple(filter(None, map(str.strip, _split_at_commas(listed))))
    try:
        Selection.of(patterns)
    except PatternError as error:
        raise PatternError(f"{ENVIRONMENT_VARIABLE}: {error}") from None
    return patterns or COMMAND_TOPICS


def _split_at_commas(text: str) -> list[str]:
    """The parts between commas that stand outside of braces."""
    parts, depth = [""], 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if char == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def is_command(topic: str, patterns: Iterable[str] | None = None) -> bool:
    """Whether a topic (with or without its type) is a command.

    Args:
        topic: the name that it is published under.
        patterns: which topics are; those of `command_topics`, if None.

    Raises:
        PatternError: a pattern cannot be read.
    """
    return _commands(patterns).matches(topic)


def _commands(patterns: Iterable[str] | None) -> Selection:
    return Selection.of(command_topics() if patterns is None else patterns)


def refuse_commands(
    bus: Bus, channels: Iterable[str], recording: str, patterns: Iterable[str] | None = None
) -> None:
    """Raise if commands are about to be published on a bus that reaches beyond this machine.

    Args:
        bus: where they would be published.
        channels: the wire names that they would be published under.
        recording: its name, for the sentence.
        patterns: which topics are commands; see `is_command`.

    Raises:
        CommandsRefused: it names the topics, how far they would go, and the ways out.
        PatternError: a pattern cannot be read.
    """
    if bus.is_local:
        return
    commands = _commands(patterns)
    topics = sorted({split_channel(one)[0] for one in channels if commands.matches(one)})
    if topics:
        more = f" and {len(topics) - _NAMED_AT_MOST} more" if topics[_NAMED_AT_MOST:] else ""
        raise CommandsRefused(
            f"{recording} would publish commands on {', '.join(topics[:_NAMED_AT_MOST])}{more}, "
            f"and {bus.reach} reaches beyond this machine, where they may move a robot: leave them "
            "out with --exclude, publish them under another name with --remap, stay on this "
            "machine with --bus (for LCM a URL with ttl=0), or allow them with --allow-commands"
        )

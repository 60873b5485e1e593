"""The options that we add to dimos's command line, and how they may stand in it.

dimos's `--replay` is a switch and its `--record` takes `sqlite` or `mcap`. Ours take a file, too,
and may stand without one; a parser of options cannot tell these apart, so `arranged` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from dimos_record.errors import OptionError

DIMOS_RECORDERS = ("sqlite", "mcap")
"""What dimos's own `--record` takes."""


class RunOption(NamedTuple):
    """An option of ours for dimos's `run`."""

    name: str
    help: str
    metavar: str | None = None
    """What its value is called; None for a switch."""
    repeatable: bool = False
    bare: bool = False
    """Whether the value may be left out."""

    @property
    def parameter(self) -> str:
        """Its name in Python: `replay_speed`."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def shown(self) -> str:
        """As help shows it: `--record [FILE]`."""
        if self.metavar is None:
            return self.name
        return f"{self.name} [{self.metavar}]" if self.bare else f"{self.name} {self.metavar}"


RECORD_OPTIONS = (
    RunOption(
        "--record",
        "Record what the modules publish, from the first message on. Without FILE: one new file "
        "per run, named after it. `sqlite` and `mcap` mean dimos's own recorder.",
        "FILE",
        bare=True,
    ),
    RunOption(
        "--record-topics", "Record only these topics: 'odom,/camera/*'.", "TOPICS", repeatable=True
    ),
    RunOption("--record-exclude", "Leave these topics out.", "TOPICS", repeatable=True),
    RunOption("--record-all", "Record all modules, not only those that the blueprint names."),
    RunOption("--record-append", "Add a session to an existing recording."),
    RunOption("--record-overwrite", "Replace an existing recording."),
)
REPLAY_OPTIONS = (
    RunOption(
        "--replay",
        "Publish a recording in place of the modules that it was made of; they are not started. "
        "Without FILE: the recording that the blueprint names, else dimos's own meaning.",
        "FILE",
        bare=True,
    ),
    RunOption("--replay-speed", "2, 0.5 ..., or max: no waiting.", "RATE"),
    RunOption(
        "--replay-only",
        "Replace only these modules, play only these topics: 'Driver,/tf'.",
        "NAMES",
        repeatable=True,
    ),
    RunOption("--replay-keep", "Start these modules all the same.", "NAMES", repeatable=True),
    RunOption("--replay-disable", "Do not start these modules either.", "NAMES", repeatable=True),
    RunOption("--replay-start", "Begin here: 12.5, 1:23.5; -10 is 10 s before the end.", "TIME"),
    RunOption("--replay-end", "End here, written in the same way.", "TIME"),
    RunOption("--replay-loop", "Play again and again."),
    RunOption("--replay-restamp", "Shift the stamps in the messages to now."),
    RunOption("--replay-clock", "Publish the time of playback here: /clock.", "TOPIC"),
    RunOption("--replay-force", "Play even if somebody publishes the same topics."),
    RunOption("--allow-commands", "Play commands also beyond this machine."),
    RunOption("--exit-at-end", "End the run when the recording ends."),
)
PLAN_OPTIONS = (
    RunOption("--dry-run", "Print the plan and start nothing."),
    RunOption("--json", "With --dry-run: the plan as JSON."),
)
RUN_OPTIONS = (*RECORD_OPTIONS, *REPLAY_OPTIONS, *PLAN_OPTIONS)
_BY_NAME = {option.name: option for option in RUN_OPTIONS}


def arranged(
    arguments: list[str],
    *,
    takes_value: Callable[[str], bool],
    commands: Collection[str],
    bare_record: str,
) -> list[str]:
    """A command line as a parser of options can read it: ours in front, each as `--name=value`.

    They may stand before `run` or after the blueprint. A word after `--record` or `--replay` is its
    file unless it is a command of dimos.

    Args:
        arguments: without the program.
        takes_value: whether an option of dimos's is followed by its value.
        commands: of dimos.
        bare_record: what `--record` without a file stands for. `--replay` then has the value "".

    Raises:
        OptionError: a file is called like a command, or an option lacks its value.
    """
    command = _command_at(arguments, takes_value, commands)
    before, after = arguments[:command], arguments[command:]
    ours, rest = _separated(before, commands, bare_record)
    asked = any(_name(one) in ("--record", "--replay") for one in (*ours, *after))
    if after[:1] == ["run"] and asked:
        more, after = _separated(after, commands, bare_record)
        ours += more
    return [*ours, *rest, *after]


def command_of(
    arguments: list[str], takes_value: Callable[[str], bool], commands: Collection[str]
) -> str | None:
    """The command in a command line; None where there is none."""
    at = _command_at(arguments, takes_value, commands)
    return arguments[at] if at < len(arguments) else None


def words_of_run(
    arguments: list[str], command: str | None, takes_value: Callable[[str], bool]
) -> list[str]:
    """The blueprints that `run` is to start: the words behind it, up to settings of modules."""
    if command != "run":
        return []
    words = []
    rest = arguments[arguments.index("run") + 1 :]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            words.append(word)
        elif words:
            break
        elif takes_value(word):
            del rest[:1]
    return words


def is_run_option(argument: str) -> bool:
    """Whether an argument is one of our options for `run`."""
    return _name(argument) in _BY_NAME


def _command_at(
    arguments: list[str], takes_value: Callable[[str], bool], commands: Collection[str]
) -> int:
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        name, given, _ = arguments[at].partition("=")
        option = _BY_NAME.get(name)
        following = arguments[at + 1] if at + 1 < len(arguments) else None
        if given:
            at += 1
        elif option is None:
            at += 2 if takes_value(name) else 1
        elif option.bare:
            at += 1 if _is_bare(name, following, arguments[at + 2 : at + 3], commands) else 2
        else:
            at += 1 if option.metavar is None else 2
    return min(at, len(arguments))


def _separated(
    arguments: list[str], commands: Collection[str], bare_record: str
) -> tuple[list[str], list[str]]:
    """Our options, each with its value, and the others."""
    ours: list[str] = []
    others: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return ours, [*others, argument, *rest]
        option = _BY_NAME.get(_name(argument))
        if option is None:
            others.append(argument)
        elif option.bare and _is_empty(argument, rest):
            raise OptionError(f"{option.name} has an empty name for its file: {option.shown}")
        elif option.metavar is None or "=" in argument:
            ours.append(argument)
        elif option.bare and _is_bare(option.name, rest[0] if rest else None, rest[1:2], commands):
            ours.append(f"{option.name}={bare_record if option.name == '--record' else ''}")
        elif rest:
            ours.append(f"{option.name}={rest.pop(0)}")
        else:
            raise OptionError(f"{option.name} needs a value: {option.shown}")
    return ours, others


def _is_empty(argument: str, rest: list[str]) -> bool:
    """Whether a file is given and has no name, as by an unset variable: `--replay "$FILE"`.

    Taken for a bare `--replay`, it could start what the recording should have replaced.
    """
    _, given, value = argument.partition("=")
    return not value if given else rest[:1] == [""]


def _is_bare(
    name: str, following: str | None, next_one: list[str], commands: Collection[str]
) -> bool:
    """Whether `--record` or `--replay` stands without its file."""
    if following is None or following.startswith("-"):
        return True
    if following in commands and next_one and next_one[0] in commands:
        raise OptionError(
            f"{following!r} after {name} is a command of dimos; write {name}={following} for a "
            "file of that name"
        )
    return following in commands


def _name(argument: str) -> str:
    return argument.partition("=")[0]


def names_in(texts: list[str] | None) -> tuple[str, ...]:
    """`["a,b", "/c/{d,e}"]` as `("a", "b", "/c/{d,e}")`."""
    found: list[str] = []
    for text in texts or ():
        depth, name = 0, ""
        for char in text + ",":
            depth += {"{": 1, "}": -1}.get(char, 0)
            if char == "," and depth <= 0:
                found.append(name.strip())
                name = ""
            else:
                name += char
    return tuple(name for name in found if name)

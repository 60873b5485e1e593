"""Command lines: every command that stays within its folder, with options and values of all kinds.

The first byte chooses the command; the rest chooses its arguments.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from soaking.fuzz_targets.choices import TEXTS, Choices
from soaking.fuzz_targets.places import scratch
from soaking.fuzz_targets.running import run_command
from tests.cli.samples import write_robot
from tests.edit.recordings import segmented

_COMMANDS = (
    "info",
    "echo",
    "plot",
    "compare",
    "trim",
    "cut",
    "rename",
    "shift",
    "codec",
    "mark",
    "markers",
    "undo",
    "redo",
    "history",
    "revert",
    "save",
    "extract",
    "keep",
    "split",
    "merge",
    "import",
    "export mcap",
    "export lcm",
    "export csv",
    "export parquet",
    "fill-poses",
    "doctor",
    "recover",
    "play",
    "record",
    "view",
    "topics",
)
_SAFE = {
    "echo": ["x", "--file=good.db"],  # x: an option that needs a value takes it, not the file
    "play": ["--bus=memory://fuzz", "--speed=max", "--force"],
    "record": ["--bus=memory://fuzz", "--duration=10ms"],
    "topics": ["--bus=memory://fuzz", "--duration=10ms"],
    "view": ["--no-such-option"],
}
"""Behind everything else: a command that would go on for long, or show a window, does not."""
_FILES = ("good.db", "good", "folder.db", "text.txt", "missing.db", ".", "/dev/null", "new.db", "")
_VALUES = (
    *TEXTS[:-2],
    "/odom",
    "/scan",
    "/odom=/x",
    "/odom.pose.position.x",
    "pose.position.x",
    "ranges.\u00b2",
    "1",
    "10",
    "-1",
    "0.5",
    "1s",
    "1:00",
    "start",
    "end",
    "max",
    "2x",
    "10MB",
    "10m",
    "lz4+lcm",
    "jpeg",
    "here",
    "{}",
    "1e400",
    "\u221210",
    "9" * 40,
    "/[",
    "\udcff",
    "out.mcap",
)
_KEEPS_ON = re.compile(r"-?-(l.*|ab.*|delay.*|paused.*|rerun.*|)")
"""What would keep one of these going, and `--`, which would take away what is behind it."""


@lru_cache(maxsize=1)
def _files() -> dict[str, bytes]:
    """What is in the folder."""
    with scratch() as folder:
        write_robot(folder / "good.db", messages=15)
        segmented(folder / "folder.db", seconds=2, each=1)
        (folder / "text.txt").write_text("at_s,label\n1,here\n")
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


@lru_cache(maxsize=64)
def _options(command: str) -> tuple[str, ...]:
    """The options of a command."""
    import typer

    from dimos_record.cli.main import app

    found: Any = typer.main.get_command(app)
    for word in command.split():
        found = found.commands[word]
    return tuple(name for one in found.params for name in one.opts if name[:1] == "-")


def seeds() -> list[bytes]:
    """Each command with nothing, with its file, and with some arguments."""
    found = []
    for number in range(len(_COMMANDS)):
        found += [bytes([number]), bytes([number, 1, 0, 0])]
        found.append(bytes([number, 5, *((17 * i + 5 * number) % 256 for i in range(30))]))
    return found


def run(data: bytes) -> None:
    """Run a command line in a folder of its own."""
    choices = Choices(data)
    command = choices.pick(_COMMANDS)
    arguments = command.split()
    arguments += [_argument(command, choices) for _ in range(choices.below(9))]
    arguments += _SAFE.get(command, [])
    with scratch() as folder:
        for name, content in _files().items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        run_command(arguments, folder)


def _argument(command: str, choices: Choices) -> str:
    made = _any_argument(command, choices)
    return "x" if command in _SAFE and _KEEPS_ON.fullmatch(made) else made


def _any_argument(command: str, choices: Choices) -> str:
    kind = choices.below(6)
    if kind <= 1:
        return choices.pick(_FILES)
    if kind == 2:
        return choices.pick(_options(command) or ("--help",))
    if kind == 3:
        option = choices.pick(_options(command) or ("--help",))
        return f"{option}={choices.pick(_VALUES)}"
    if kind == 4:
        return choices.pick(_VALUES)
    return choices.text().replace("\0", "")

"""Our options in command lines of dimos, as they are told apart from dimos's own.

The text is cut at line feeds: each line is an argument.
"""

from __future__ import annotations

from dimos_record.cli.dimos_options import arranged, command_of, names_in, words_of_run
from soaking.fuzz_targets.checks import BrokenPromise, errors_of_ours

_COMMANDS = frozenset({"run", "list", "stop", "restart"})


def seeds() -> list[bytes]:
    """Command lines as people write them."""
    texts = [
        "--record\nrun\ndemo",
        "--replay=walk.db\nrun\ndemo\n--record-topics\n/odom,/camera/{a,b}",
        "--robot-ip\n10.0.0.1\n--record\nwalk.db\nrun\ndemo\n--replay-speed\n2",
        "run\ndemo\n--record\nrun\n--\n--replay",
        "--replay\n\nrun\ndemo",
        "--record\nrun\nrun\ndemo",
        "a,{b,c},d}{,,",
    ]
    return [text.encode() for text in texts]


def run(data: bytes) -> None:
    """Tell the options apart: no word of the rest is lost or made up."""
    text = data[:600].decode("utf-8", "replace")
    arguments = text.split("\n")
    names_in(arguments)
    with errors_of_ours(text):
        found = arranged(
            arguments, takes_value=_takes_value, commands=_COMMANDS, bare_record="runs"
        )
        if sum(map(len, found)) > sum(map(len, arguments)) + 10 * len(arguments):
            raise BrokenPromise(f"{arguments} become {found}")
        words_of_run(arguments, command_of(arguments, _takes_value, _COMMANDS), _takes_value)


def _takes_value(option: str) -> bool:
    return option == "--robot-ip"

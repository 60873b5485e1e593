"""Drives the terminal program in tmux, beside the demo robot; `--help` says how."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _terminal_svg import svg_of

from dimos_record.testing import free_lcm_url
from terminal_session.outside import NotAsCut, check
from terminal_session.session import RECORDING, SAVED, Session
from terminal_session.terminal import NeverShown, Terminal

COMMAND = [sys.executable, "-m", "dimos_record.cli.main"]


def main() -> int:
    arguments = _arguments()
    with ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for each in filter(None, (folder, arguments.pictures)):
            each.mkdir(parents=True, exist_ok=True)
        try:
            run(arguments, folder)
            outcome = check(folder / RECORDING, folder / SAVED)
        except (NeverShown, NotAsCut) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(json.dumps(outcome._asdict()))
    return 0


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """The session; it leaves the recording and what was saved of it in a folder.

    Raises:
        NeverShown: the program did not do what it should.
    """
    url = free_lcm_url()
    columns, lines = arguments.size
    program = [*COMMAND, "tui", "--bus", url]
    with Terminal(program, folder, columns, lines) as terminal:
        session = Session(terminal, _capture(terminal, arguments.pictures))
        terminal.wait_for("nothing is published")
        with robot(url):
            session.select()
            session.record(arguments.seconds)
        session.play()
        session.look()
        session.cut(tuple(arguments.cut))
        session.save()


@contextmanager
def robot(url: str) -> Iterator[None]:
    """The demo robot; it ends with the block, so that its recording may be played."""
    nowhere = subprocess.DEVNULL
    command = [*COMMAND, "demo-robot", "--quiet", "--bus", url]
    process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _capture(terminal: Terminal, pictures: Path | None) -> Callable[[str], None]:
    def capture(step: str) -> None:
        print(step, file=sys.stderr)
        if pictures is not None:
            picture = svg_of(terminal.coloured, "dimos-record tui", terminal.columns)
            (pictures / f"tui-{step}.svg").write_text(picture)

    return capture


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/tui_session",
        description="Does in the terminal program what a person would, in tmux, beside the demo "
        "robot: selects topics, records, plays, pauses, seeks, marks and cuts a section, undoes "
        "that, cuts again, saves as a new file and quits. Then it looks from outside whether the "
        "new file is the recording without that section, and prints the figures as JSON.",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to record (10)")
    parser.add_argument(
        "--cut",
        type=float,
        nargs=2,
        default=(3.0, 6.0),
        metavar=("A", "B"),
        help="in s (3 6)",
    )
    parser.add_argument("--size", type=_size, default=(120, 35), help="of the terminal (120x35)")
    parser.add_argument("--folder", type=Path, help="where to leave both recordings")
    parser.add_argument("--pictures", type=Path, help="where to draw each step, as SVG")
    return parser.parse_args()


def _size(written: str) -> tuple[int, int]:
    columns, lines = written.split("x")
    return int(columns), int(lines)


if __name__ == "__main__":
    sys.exit(main())

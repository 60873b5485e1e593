"""The program in a real terminal, which is as it was afterwards, whatever happens."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.cli.tui import program
from dimos_record.testing import free_lcm_url
from tests.cli.commands import CLI, Terminal, run, until

_BREAKS = """
import sys
from pathlib import Path
from dimos_record.cli.tui.app import TuiApp
from dimos_record.cli.tui.live.screen import LiveScreen
from dimos_record.cli.tui.program import run_program

def breaks(self):
    raise ValueError("something is wrong")

LiveScreen.action_choose_all = breaks
sys.exit(run_program(TuiApp(None, "memory://broken"), Path("details.log")))
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with Terminal(tmp_path) as opened:
        yield opened


def test_without_a_terminal_a_sentence_says_so() -> None:
    done = run("tui")
    assert done.returncode == 2
    assert done.stderr.startswith("error: dimos-record tui needs a terminal")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_an_error_before_anything_is_drawn(terminal: Terminal) -> None:
    terminal.run(["sh", "-c", f"{' '.join(CLI)} tui ./none.db; echo code $?"])
    terminal.wait_for("^code 3")
    assert "error: " in terminal.screen
    assert "none.db" in terminal.screen


def test_quitting_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    before = terminal.settings()
    terminal.run(["sh", "-c", f"{' '.join(CLI)} tui --bus memory://none; echo code $?"])
    terminal.wait_for("nothing is published")
    terminal.press("q")
    terminal.wait_for("^code 0")
    assert "nothing is published" not in terminal.screen
    assert terminal.settings() == before


def test_an_error_of_its_own_is_one_line_and_the_terminal_is_restored(
    terminal: Terminal, tmp_path: Path
) -> None:
    before = terminal.settings()
    script, log = tmp_path / "breaks.py", tmp_path / "details.log"
    script.write_text(_BREAKS.replace("details.log", str(log)))
    terminal.run(["sh", "-c", f"{sys.executable} {script}; echo code $?"])
    terminal.wait_for("nothing is published")
    terminal.press("a")
    terminal.wait_for("^code 1")
    assert "ValueError: something is wrong" in " ".join(terminal.screen.split())
    assert "Traceback" not in terminal.screen
    assert "Traceback" in log.read_text()
    assert terminal.settings() == before


def record_something(terminal: Terminal, folder: Path) -> int:
    """Record one message in a terminal; returns the number of the process, which goes on."""
    url = free_lcm_url()
    command = f"cd {folder}; echo $$ > pid; exec {' '.join(CLI)} tui --bus '{url}'"
    with open_bus(url) as bus:
        terminal.run(["sh", "-c", command])
        terminal.wait_for("nothing is published")
        terminal.press("a", "r")
        terminal.wait_for("starts, esc gives up")
        terminal.press("w.db", "Enter")
        terminal.wait_for("RECORDING")
        bus.publish("/odom", b"1")
        terminal.wait_for("written 1 ")
    return int((folder / "pid").read_text())


def has_ended(process: int) -> bool:
    return not Path(f"/proc/{process}/fd").is_dir() or not os.listdir(f"/proc/{process}/fd")


def is_finished(path: Path) -> bool:
    with RecordReplay(path) as rec:
        info = rec.info()
    return info.self_contained and [topic.count for topic in info.topics] == [1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_finishes_the_recording_and_restores_the_terminal(
    terminal: Terminal, tmp_path: Path, number: int
) -> None:
    before = terminal.settings()
    os.kill(record_something(terminal, tmp_path), number)
    terminal.wait_for(r"^\$")
    assert terminal.settings() == before
    assert is_finished(tmp_path / "w.db")


def test_a_terminal_that_is_closed_finishes_the_recording(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        process = record_something(terminal, tmp_path)
    until(lambda: has_ended(process), "the end of the program", timeout_s=30)
    assert is_finished(tmp_path / "w.db")


def test_drawing_on_a_terminal_that_has_gone_goes_nowhere() -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w") as stream:
        output = program.Output(stream)
        assert output.isatty()
        os.close(ours)
        for _ in range(2):  # an error would end the thread that draws, and then nothing could end
            assert output.write("a picture") == len("a picture")
            output.flush()

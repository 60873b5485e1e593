"""Nobody listens any more: standard streams that are full, closed, or a terminal that went away."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.cli.running import stop_signals
from dimos_record.testing import free_lcm_url
from tests.cli.commands import CLI, Running, Terminal, until
from tests.cli.samples import write_robot

pytestmark = pytest.mark.once

COMMANDS = [
    ("info", "robot.db"),
    ("info", "robot.db", "--json"),
    ("echo", "/odom", "-f", "robot.db"),
    ("compare", "robot.db", "robot.db"),
    ("record", "new.db", "--duration", "0.1s", "--json", "--bus", "memory://lost"),
    ("demo-robot", "--list"),
    ("--help",),
]


def shell(command: str, folder: Path, first: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command with the redirections that a shell does, and what comes first."""
    return subprocess.run(
        ["bash", "-c", f'{first}"$@" {command}', "bash", *CLI],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_output_onto_a_full_disk_is_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    write_robot(tmp_path / "robot.db")
    done = shell(f"{' '.join(arguments)} > /dev/full", tmp_path)
    assert done.returncode == 5, done.stderr
    assert done.stderr.endswith("error: cannot write the output: No space left on device\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_closed_standard_streams_harm_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_robot(tmp_path / "robot.db")
    done = shell(f"{' '.join(arguments)} <&- >&-", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rror" not in done.stderr
    assert shell(f"{' '.join(arguments)} <&- 2>&-", tmp_path).returncode in (0, 3)


@pytest.mark.parametrize("nowhere", ["2> /dev/full", "2>&-", "2> >(true)"])
def test_a_recording_goes_on_when_nobody_hears_what_it_says(tmp_path: Path, nowhere: str) -> None:
    done = shell(f"record new.db --duration 1s --bus memory://lost {nowhere}", tmp_path)
    assert done.returncode == 0
    with RecordReplay(tmp_path / "new.db") as rec:
        assert [session.reason for session in rec.info().sessions] == ["duration (1 s)"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_twice_at_once_finishes_the_file(tmp_path: Path, number: int) -> None:
    path = tmp_path / "walk.db"
    with Running("record", path, "--bus", free_lcm_url()) as recording:
        recording.wait_for("Recording to")
        recording.process.send_signal(number)
        code, _ = recording.end(number)
    assert code == 0, recording.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["walk.db"]


def test_a_recording_goes_on_after_a_hangup_under_nohup(tmp_path: Path) -> None:
    script = (
        'nohup "$@" record walk.db --duration 1s --bus memory://lost 2> said & '
        'until grep -q "Recording to" said; do sleep 0.05; done; kill -HUP $!; wait $!'
    )
    done = subprocess.run(["bash", "-c", script, "bash", *CLI], cwd=tmp_path, check=False)
    assert done.returncode == 0
    with RecordReplay(tmp_path / "walk.db") as rec:
        assert [session.reason for session in rec.info().sessions] == ["duration (1 s)"]


def test_closing_the_terminal_finishes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with Terminal(tmp_path) as terminal:
        terminal.run([*CLI, "record", path, "--bus", free_lcm_url()])
        terminal.wait_for("Recording to")
    until(lambda: not list(tmp_path.glob("walk.db-*")), "one self-contained file")
    with RecordReplay(path) as rec:
        assert [session.reason for session in rec.info().sessions] == ["stopped"]


@pytest.mark.parametrize("arguments", ["info walk.db", "record walk.db", "record ./walk.db"])
def test_a_current_folder_that_was_removed_is_one_sentence(tmp_path: Path, arguments: str) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    done = shell(arguments, folder, first="rmdir ../gone; ")
    assert done.returncode == 5
    assert done.stderr == "error: the current folder was removed; go to another one\n"


def test_a_signal_in_the_middle_of_waiting_for_one_does_not_hang() -> None:
    with stop_signals() as stop:
        handler = signal.getsignal(signal.SIGINT)
        assert callable(handler)
        with stop._cond:  # type: ignore[attr-defined]  # as inside of stop.wait()
            handler(signal.SIGINT, None)
        assert stop.is_set()

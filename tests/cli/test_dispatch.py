"""Which command line is ours and which is dimos's, and how our options may stand in dimos's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from dimos_record.cli import entry
from dimos_record.cli.dimos_options import RUN_OPTIONS, arranged, names_in, words_of_run
from dimos_record.cli.main import app
from dimos_record.errors import OptionError
from tests.cli.commands import run

COMMANDS = {"run", "status", "log", "map"}
without_dimos = pytest.mark.skipif(
    importlib.util.find_spec("dimos") is not None, reason="dimos is installed here"
)


def takes_value(name: str) -> bool:
    return name in ("--viewer", "--transport", "--config", "-c")


def arrange(line: str) -> str:
    return " ".join(
        arranged(
            line.split(), takes_value=takes_value, commands=COMMANDS, bare_record="/data/runs/"
        )
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--record walk.db run robot", "--record=walk.db run robot"),
        ("--record=walk.db run robot", "--record=walk.db run robot"),
        ("--record=run run robot", "--record=run run robot"),
        ("--record run robot", "--record=/data/runs/ run robot"),
        ("--record sqlite run robot", "--record=sqlite run robot"),
        ("--record --viewer none run robot", "--record=/data/runs/ --viewer none run robot"),
        ("--replay run robot", "--replay= run robot"),
        ("--replay --dry-run run robot", "--replay= --dry-run run robot"),
        ("--viewer none --replay x run -d robot", "--replay=x --viewer none run -d robot"),
        ("run robot --replay x --dry-run", "--replay=x --dry-run run robot"),
        ("run robot --replay", "--replay= run robot"),
        ("--viewer run run robot --replay x", "--replay=x --viewer run run robot"),
        ("--record x --replay y run robot", "--record=x --replay=y run robot"),
        ("--replay x --replay-speed 2 run robot", "--replay=x --replay-speed=2 run robot"),
        # without --record or --replay these may be settings of a module
        ("run robot --dry-run --json", "run robot --dry-run --json"),
        ("map show --record x", "map show --record x"),
        ("run robot -- --replay x", "run robot -- --replay x"),
    ],
)
def test_our_options_stand_in_front_each_with_its_value(typed: str, meant: str) -> None:
    assert arrange(typed) == meant


@pytest.mark.parametrize("line", ["--replay log run robot", "--record run run robot"])
def test_a_file_that_is_called_like_a_command_is_asked_about(line: str) -> None:
    file = line.split()[1]
    with pytest.raises(OptionError, match=f"={file} for a file of that name"):
        arrange(line)


def test_an_option_without_its_value_is_an_error() -> None:
    with pytest.raises(OptionError, match="--replay-speed needs a value: --replay-speed RATE"):
        arrange("--replay x run robot --replay-speed")


@pytest.mark.parametrize(
    "given", [["--replay", ""], ["--replay="], ["--record", ""], ["--record="]], ids=" ".join
)
def test_an_empty_name_is_not_taken_for_none(given: list[str]) -> None:
    """As an unset variable gives it: a bare `--replay` could start the hardware."""
    for line in ([*given, "run", "robot"], ["run", "robot", *given]):
        with pytest.raises(OptionError, match="has an empty name for its file"):
            arranged(line, takes_value=takes_value, commands=COMMANDS, bare_record="/data/")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run robot", ["robot"]),
        ("--viewer none run -d -c file one two --one.rate 5 three", ["one", "two"]),
        ("status", []),
    ],
)
def test_the_blueprints_of_a_run_are_found(line: str, words: list[str]) -> None:
    command = "run" if "run" in line else "status"
    assert words_of_run(line.split(), command, takes_value) == words


def test_names_are_parted_by_commas_but_not_in_braces() -> None:
    assert names_in(["a, b", "/c/{d,e}/f,g", ""]) == ("a", "b", "/c/{d,e}/f", "g")
    assert names_in(None) == ()


@pytest.mark.parametrize("arguments", [["recrod", "x.db"], ["recrod"]])
def test_a_mistyped_command_of_ours_is_not_taken_for_one_of_dimos(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: No such command 'recrod'. Did you mean 'record'")
    assert done.stderr.count("\n") == 1


@without_dimos
@pytest.mark.parametrize(
    "line", ["run robot", "--record x.db run robot", "--viewer none run robot", "status", "modules"]
)
def test_without_dimos_its_commands_are_one_clear_sentence(line: str) -> None:
    done = run(*line.split())
    assert done.returncode == 1
    assert "needs the extra 'dimos'; install it with" in done.stderr
    assert done.stderr.count("\n") == 1


@without_dimos
def test_without_dimos_an_unknown_option_is_ours() -> None:
    done = run("--bogus")
    assert done.returncode == 2
    assert done.stderr.startswith("error: No such option: --bogus")


def test_help_names_our_commands_and_those_of_dimos() -> None:
    text = run("--help").stdout
    for command in app.registered_commands:
        assert f"\n  {command.name} " in text
    for option in RUN_OPTIONS:
        assert f"\n  {option.shown} " in text
    assert "Commands of dimos" in text
    assert max(map(len, text.splitlines())) <= 80


def test_ctrl_c_while_the_program_is_being_loaded_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dimos_record.cli.main.main", interrupted)
    with pytest.raises(SystemExit, match="130"):
        entry.main()


def test_the_console_script_imports_nothing_heavy() -> None:
    """Every worker process of dimos runs it once more, as `__mp_main__`."""
    code = (
        "import sys; before = set(sys.modules); import dimos_record.cli.entry; "
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "dimos_record" in loaded
    assert loaded & {"typer", "rich", "numpy", "lcm", "dimos", "textual", "sqlite3"} == set()

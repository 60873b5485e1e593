"""The reference page of the commands, and their help."""

from __future__ import annotations

import inspect
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from dimos_record import errors
from dimos_record.cli.main import app
from dimos_record.cli.reference import reference
from tests.cli.commands import CLI, run

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
GROUP: Any = typer.main.get_command(app)


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == reference(app), "run scripts/docs_cli"


@pytest.mark.parametrize("name", list(GROUP.commands))
def test_every_command_is_in_the_page_with_every_option_and_an_example(name: str) -> None:
    page = PAGE.read_text()
    section = page.partition(f"\n## dimos-record {name}\n")[2].partition("\n## ")[0]
    for parameter in GROUP.commands[name].params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert option in section
    assert f"\ndimos-record {name}" in section.partition("```bash")[2]


def test_every_exit_code_is_in_the_page() -> None:
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.DimosRecordError)
    }
    for code in codes | {0, 130}:
        assert f"\n| {code} | " in PAGE.read_text()


@pytest.mark.parametrize("name", list(GROUP.commands))
def test_the_help_has_examples_and_fits_80_columns(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"\n    dimos-record {name}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_without_a_command_there_is_help() -> None:
    done = run()
    assert done.returncode == 0
    assert "Commands:" in done.stdout


def test_the_shell_completes_commands() -> None:
    asked = {"_DIMOS_RECORD_COMPLETE": "complete_bash", "COMP_WORDS": "dimos-record comp"}
    done = subprocess.run(
        CLI,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **asked, "COMP_CWORD": "1"},
    )
    assert done.stdout.split() == ["compare"]


def test_the_version_is_told() -> None:
    done = run("--version")
    assert done.stdout.startswith("dimos-record ")

"""Which file the name of a recording means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dimos_record.errors import AmbiguousName, OptionError, RecordingNotFound
from dimos_record.store.paths import data_folder, path_for_reading, path_for_writing


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a data folder; the current folder is a folder in it."""
    monkeypatch.delenv("DIMOS_RECORD_DATA", raising=False)
    project = tmp_path / "project"
    (project / "data" / ".lfs").mkdir(parents=True)
    (project / "src").mkdir()
    monkeypatch.chdir(project / "src")
    return project


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without any data folder above it."""
    monkeypatch.delenv("DIMOS_RECORD_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_project_a_name_is_a_file_here(nowhere: Path) -> None:
    assert path_for_writing("walk.db") == Path("walk.db")
    (nowhere / "walk.db").touch()
    assert path_for_reading("walk.db").samefile(nowhere / "walk.db")


def test_in_a_project_a_bare_name_is_in_its_data_folder(project: Path) -> None:
    assert path_for_writing("walk.db") == project / "data" / "walk.db"
    (project / "data" / "walk.db").touch()
    assert path_for_reading("walk.db") == project / "data" / "walk.db"


def test_a_path_with_a_folder_is_taken_as_it_stands(project: Path) -> None:
    for name in ("./walk.db", "/somewhere/walk.db", "sub/walk.db"):
        assert path_for_writing(name) == Path(name)
        assert path_for_reading(name) == Path(name)
    assert path_for_writing("~/walk.db") == Path.home() / "walk.db"


def test_a_variable_names_the_data_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIMOS_RECORD_DATA", str(project / "elsewhere"))
    assert data_folder() == project / "elsewhere"
    assert path_for_writing("walk.db") == project / "elsewhere" / "walk.db"


def test_reading_also_looks_here_and_adds_the_ending(project: Path) -> None:
    (project / "src" / "walk.db").touch()
    assert path_for_reading("walk").samefile(project / "src" / "walk.db")
    (project / "data" / "long").mkdir()
    assert path_for_reading("long") == project / "data" / "long"


def test_two_files_of_one_name_are_both_named(project: Path) -> None:
    (project / "src" / "walk.db").touch()
    (project / "data" / "walk.db").touch()
    with pytest.raises(AmbiguousName, match=r"data/walk\.db and walk\.db"):
        path_for_reading("walk.db")


def test_one_file_that_is_found_twice_is_not_ambiguous(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "data" / "walk.db").touch()
    monkeypatch.chdir(project / "data")
    assert path_for_reading("walk.db").samefile(project / "data" / "walk.db")


def test_a_missing_recording_says_where_was_looked(project: Path) -> None:
    with pytest.raises(RecordingNotFound) as caught:
        path_for_reading("walk.db")
    assert str(project / "data") in str(caught.value)
    assert os.getcwd() in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_an_empty_name_is_refused(name: str) -> None:
    for path_for in (path_for_reading, path_for_writing):
        with pytest.raises(OptionError, match="name of the recording is empty"):
            path_for(name)

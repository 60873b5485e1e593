from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lfs.projects import Project, isolate


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git is as on a new machine."""
    (tmp_path / "home").mkdir()
    isolate(monkeypatch, tmp_path / "home")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a recording, to be copied."""
    folder = tmp_path_factory.mktemp("lfs")
    with pytest.MonkeyPatch.context() as monkeypatch:
        isolate(monkeypatch, folder)
        Project.create(folder).record()
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a `data/walk.db`, and a remote; it is the current folder."""
    project = Project(tmp_path / "project", tmp_path / "remote.git")
    for path in (project.root, project.remote):
        shutil.copytree(template / path.name, path)
    project.git("remote", "set-url", "origin", project.remote.as_uri())
    monkeypatch.chdir(project.root)
    return project

"""dimos's `get_data` reads what we publish, and we fetch what was packed by hand for it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dimos.memory.utils.sqlite import open_sqlite_connection
from dimos.utils import data

from dimos_record import RecordReplay
from dimos_record.lfs.publish import publish
from tests.lfs.projects import Project, is_pointer, isolate
from tests.with_dimos.conftest import Recorded
from tests.with_dimos.messages import pose, same_value, stamp_s

pytestmark = pytest.mark.dimos


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a remote and an empty data folder."""
    (tmp_path / "home").mkdir()
    isolate(monkeypatch, tmp_path / "home")
    project = Project.create(tmp_path)
    project.data.mkdir()
    return project


@pytest.fixture
def clone_of_dimos(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Project]]:
    """Makes a clone with pointers only, where dimos expects one of its own repository."""
    monkeypatch.setattr(data, "DIMOS_PROJECT_ROOT", tmp_path)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    caches = (data.get_project_root, data.get_data_dir, data._get_lfs_dir)

    def clone() -> Project:
        (tmp_path / "share" / "dimos").mkdir(parents=True)
        return project.clone("share/dimos/repo")

    for cache in caches:
        cache.cache_clear()
    yield clone
    for cache in caches:
        cache.cache_clear()


def test_get_data_pulls_and_unpacks_what_we_published(
    project: Project,
    clone_of_dimos: Callable[[], Project],
    ours: Path,
    recorded: Recorded,
    open_store: Callable[..., Any],
) -> None:
    ours.rename(project.data / "walk.db")
    folder = project.data / "long"
    folder.mkdir()
    (folder / "segment-00001.db").write_bytes((project.data / "walk.db").read_bytes())
    publish(project.data / "long", commit=True)
    publish(project.data / "walk.db", push=True)
    clone = clone_of_dimos()
    assert is_pointer(clone.archive)
    path = data.get_data("walk.db")
    assert path == clone.data / "walk.db"
    for opened in (path, data.get_data("long/segment-00001.db")):
        stream = open_store(opened).stream("odom")
        stored = [observation.data for observation in stream]
        assert stored
        assert all(map(same_value, stored, recorded.published["odom"]))
    assert clone.status() == []


def test_embeddings_and_positions_of_dimos_are_published_with_their_messages(
    project: Project, tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    store = open_store(project.data / "walk.db")
    for i in range(5):
        store.stream("odom", type(pose(0))).append(pose(i), ts=stamp_s(i), pose=pose(i))
    store.stop()
    vectors = [(number, f"[{number}, 1]") for number in range(1, 6)]
    with closing(open_sqlite_connection(project.data / "walk.db")) as connection, connection:
        connection.execute("CREATE VIRTUAL TABLE odom_vec USING vec0(embedding float[2])")
        connection.executemany("INSERT INTO odom_vec (rowid, embedding) VALUES (?, ?)", vectors)
    publish(project.data / "walk.db")
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xzf", project.archive, "-C", tmp_path / "out"], check=True)
    with closing(open_sqlite_connection(tmp_path / "out" / "walk.db")) as connection:
        found = connection.execute("SELECT rowid, vec_to_json(embedding) FROM odom_vec")
        assert {number: json.loads(vector) for number, vector in found} == {
            number: [number, 1] for number in range(1, 6)
        }
    near = open_store(tmp_path / "out" / "walk.db").stream("odom").near(pose(3), radius=0.1)
    assert [same_value(one.data, pose(3)) for one in near.to_list()] == [True]


def test_what_was_packed_by_hand_for_get_data_is_fetched(
    project: Project, open_store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(project.data / "walk.db")
    stream = store.stream("odom", type(pose(0)))
    for i in range(5):
        stream.append(pose(i), ts=stamp_s(i))
    store.stop()
    project.archive.parent.mkdir()
    command = ["tar", "-czf", project.archive, "-C", project.data, "walk.db"]
    subprocess.run(command, check=True)
    before = (project.data / "walk.db").read_bytes()
    (project.data / "walk.db").unlink()
    monkeypatch.chdir(project.root)
    with RecordReplay("walk") as rec:
        assert [one.raw for one in rec.view()] == [pose(i).lcm_encode() for i in range(5)]
    assert (project.data / "walk.db").read_bytes() == before

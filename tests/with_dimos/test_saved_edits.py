"""dimos opens what we have saved, and finds in it what was not cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dimos.memory.utils.sqlite import open_sqlite_connection
from dimos.msgs.sensor_msgs.Image import Image

from dimos_record import RecordReplay
from dimos_record.store.reader import RecordingReader
from tests.with_dimos.conftest import Recorded
from tests.with_dimos.messages import color, pose, same_value, stamp_ns, status

pytestmark = pytest.mark.dimos


def test_dimos_decodes_what_stayed_of_every_stream(
    recorded: Recorded, ours: Path, open_store: Callable[..., Any]
) -> None:
    with RecordingReader.open(ours) as reader:
        second = [row.ts_ns for row in reader.rows("robot1__pose")][1]
        kept = {
            name: [i for i, row in enumerate(reader.rows(name)) if row.ts_ns >= second]
            for name in recorded.published
        }
        latched = {name for name, info in reader.streams.items() if info.latched}
    with RecordReplay(ours) as rec:
        rec.delete_section((None, rec.position_of(second)))
        rec.rename_topic("/status", "/said")
        rec.save()
    store = open_store(ours)
    assert set(store.list_streams()) == {*recorded.published, "said"} - {"status"}
    for name, published in recorded.published.items():
        stored = [one.data for one in store.stream("said" if name == "status" else name)]
        expected = [published[i] for i in kept[name]]
        assert len(stored) - len(expected) in ((0, 1) if name in latched else (0,))
        if name != "camera__preview":  # stored as JPEG
            pairs = zip(stored[::-1], expected[::-1], strict=False)
            assert all(same_value(one, other) for one, other in pairs), name


def test_dimos_finds_what_was_near_in_a_saved_file(
    tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        stream = rec.stream("status", type_name="std_msgs.String")
        for i in range(6):
            place = (i, 2 * i, 0, 0, 0, 0.6, 0.8)
            stream.append(status(i), ts_ns=stamp_ns(0) + i * 10**9, pose=place, tags={"floor": i})
        rec.delete_section((1.0, 3.0))
        rec.save()
    stream = open_store(tmp_path / "walk.db").stream("status")
    near = stream.near((3.0, 6.0, 0.0), radius=2.5).to_list()
    assert [(one.id, one.tags) for one in near] == [(2, {"floor": 3}), (3, {"floor": 4})]
    assert near[0].pose_tuple == (3.0, 6.0, 0.0, 0.0, 0.0, 0.6, 0.8)
    assert same_value(near[0].data, status(3))


def test_dimos_decodes_another_codec(
    recorded: Recorded, ours: Path, tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    with RecordReplay(ours) as rec:
        rec.set_codec("/camera/color", "lz4+lcm")
        rec.set_codec("/robot1/pose", "lz4+lcm")
        rec.save_as(tmp_path / "packed.db")
    store = open_store(tmp_path / "packed.db")
    for name in ("camera__color", "robot1__pose"):
        stored = [one.data for one in store.stream(name)]
        pairs = zip(stored, recorded.published[name], strict=True)
        assert all(same_value(one, other) for one, other in pairs)


def test_a_file_of_dimos_is_cut_and_stays_one_of_dimos(
    tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    path = tmp_path / "dimos.db"
    store = open_store(path)
    pictures = store.stream("pictures", Image)
    numbers = store.stream("numbers", float)
    for i in range(5):
        pictures.append(color(i), ts=100.0 + i, pose=pose(i), tags={"n": i})
        numbers.append(i / 2, ts=100.0 + i)
    store.stop()
    with RecordReplay(path) as rec:
        rec.delete_section((1.0, 3.0))
        rec.save()
    store = open_store(path)
    assert [one.data for one in store.stream("numbers")] == [0.0, 1.5, 2.0]
    found = store.stream("pictures").to_list()
    assert [(one.id, one.ts, one.tags) for one in found] == [
        (1, 100.0, {"n": 0}),
        (2, 103.0, {"n": 3}),
        (3, 104.0, {"n": 4}),
    ]
    near = store.stream("pictures").near(pose(3), radius=0.1).to_list()
    assert [one.tags["n"] for one in near] == [3]


def test_embeddings_go_along_with_their_messages(
    tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    path = tmp_path / "dimos.db"
    store = open_store(path)
    for i in range(5):
        store.stream("pictures", Image).append(color(i), ts=100.0 + i)
    store.stop()
    with closing(open_sqlite_connection(path)) as connection, connection:
        connection.execute(
            "CREATE VIRTUAL TABLE pictures_vec "
            "USING vec0(embedding float[2] distance_metric=cosine)"
        )
        vectors = [(number, f"[{number}, 1]") for number in range(1, 6)]
        connection.executemany("INSERT INTO pictures_vec (rowid, embedding) VALUES (?, ?)", vectors)
    with RecordReplay(path) as rec:
        rec.delete_section((1.0, 3.0))
        rec.rename_topic("/pictures", "/photos")
        rec.save()
    with closing(open_sqlite_connection(path)) as connection:
        found = connection.execute("SELECT rowid, vec_to_json(embedding) FROM photos_vec")
        kept = {number: json.loads(vector) for number, vector in found}
    assert kept == {1: [1, 1], 2: [4, 1], 3: [5, 1]}

"""One `RecordReplay` used from several threads at once."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
from soaking import chapter_threads
from soaking.harness import Round

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.errors import DimosRecordError, StorageError
from dimos_record.store import open_recording
from tests.leftovers import nothing_left_behind

pytestmark = pytest.mark.once

PLENTY: dict[str, Any] = {"min_free_bytes": 0, "append": True}


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    path = tmp_path / "walk.db"
    with open_bus("memory://made") as bus, RecordReplay(path, bus=bus) as rec:
        rec.start_recording(min_free_bytes=0)
        bus.publish_all([("/a", b"%d" % i) for i in range(3000)])
        bus.publish("/b", b"")
    return path


def test_a_query_goes_on_where_it_was_when_a_session_begins_and_ends(walk: Path) -> None:
    with RecordReplay(walk, bus="memory://query") as rec:
        query, view = iter(rec.streams.a), iter(rec.select("/a"))
        read = [next(query).raw, next(view).raw]
        rec.start_recording(**PLENTY)
        read.append(next(view).raw)
        assert rec.stop_recording().self_contained  # type: ignore[union-attr]
        assert read == [b"0", b"0", b"1"]
        assert sum(1 for _ in query) == 2999
        assert sum(1 for _ in view) == 2998


def test_a_query_of_what_was_closed_says_so(walk: Path) -> None:
    with RecordReplay(walk, bus="memory://closed") as rec:
        query = iter(rec.streams.a)
        next(query)
        rec.close()
        with pytest.raises(StorageError, match=r"walk\.db was closed meanwhile; open it again"):
            for _ in query:
                pass


def test_save_waits_for_the_player_without_keeping_others_from_the_recording(
    walk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordReplay(walk, bus="memory://deadlock") as rec:
        rec.delete_topic("/b")
        player = rec.play(paused=True, listen_s=0)
        stopping, stop = threading.Event(), rec._stop_playing
        monkeypatch.setattr(rec, "_stop_playing", lambda: (stopping.set(), stop()))
        saving = threading.Thread(target=rec.save)
        with player._condition:  # as a step of the player has it, which may open the reader
            saving.start()
            assert stopping.wait(30)
            free = rec._lock.acquire(timeout=10)
        if free:
            rec._lock.release()
        saving.join(30)
        assert free
        assert not saving.is_alive()


def test_of_many_who_play_at_once_one_plays(walk: Path) -> None:
    with (
        nothing_left_behind(),
        open_bus("memory://many") as bus,
        RecordReplay(walk, bus=bus) as rec,
    ):
        together = threading.Barrier(8)
        refused: list[str] = []

        def play() -> None:
            together.wait()
            try:
                rec.play(0.001, listen_s=0, check_conflicts=False)
            except DimosRecordError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=play) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        playing = [one for one in threading.enumerate() if one.name == "replay-publisher"]
        assert len(playing) <= 1
        assert all("player" in text for text in refused)


def test_what_several_threads_append_is_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with RecordReplay(path, bus="memory://append") as rec:
        stream = rec.stream("a")

        def append() -> None:
            for _ in range(100):
                stream.append(b"x")

        threads = [threading.Thread(target=append) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with open_recording(path) as reader:
        times = [row.ts_ns for row in sorted(reader.rows("a"), key=lambda row: row.id)]
    assert len(times) == 400
    assert times == sorted(times)


@pytest.mark.parametrize("kind", ["lcm", "memory"])
def test_anything_may_be_done_from_several_threads_at_once(tmp_path: Path, kind: str) -> None:
    round_ = Round(0, random.Random(0), tmp_path, 0.0)
    found = chapter_threads.many_threads(round_, kind=kind, seconds=0.4)
    assert found.broken == []

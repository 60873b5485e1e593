"""What is left of damaged recordings is saved, and nothing that is not what was recorded."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dimos_record.errors import RecordingBusy, RecordingDamaged, RecordingExists
from dimos_record.store import open_as_recorded
from dimos_record.store.connection import PAGE_SIZE
from dimos_record.store.reader import RecordingReader
from dimos_record.store.recovery import rescue
from dimos_record.store.salvage import SalvageReport, StreamSalvage, salvage
from dimos_record.store.salvage.pages import Pages
from dimos_record.store.salvage.trees import Trees
from tests.store.damage import (
    KINDS,
    WRITERS,
    Damage,
    Original,
    flip,
    look_at,
    lose_log,
    try_one,
    write_finished,
    zero_first_page,
)
from tests.store.dimos_files import ALL, UNKNOWN_CODEC, write_dimos_file
from tests.store.samples import ODOM, START_NS, messages, pose, record

PAGE = PAGE_SIZE


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Original]:
    folder = tmp_path_factory.mktemp("originals")
    return [look_at(write(folder / f"{write.__name__}.db")) for write in WRITERS]


@pytest.mark.once
@pytest.mark.parametrize("damage", KINDS, ids=lambda damage: damage.__name__)
def test_every_message_in_undamaged_pages_is_saved_and_no_wrong_one(
    originals: list[Original], tmp_path: Path, damage: Damage
) -> None:
    for number, original in enumerate(originals):
        folder = tmp_path / str(number)
        folder.mkdir()
        outcome = try_one(original, damage, random.Random(f"{damage.__name__}{number}"), folder)
        assert outcome.problems == [], original.path.name


def one(report: SalvageReport, topic: str) -> StreamSalvage:
    return next(stream for stream in report.streams if stream.topic == topic)


def replace(path: Path, old: bytes, new: bytes) -> None:
    """Other bytes of the same length, also where a page that is free now has them."""
    data = path.read_bytes()
    assert old in data
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new))


def change(path: Path, at: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_changed_byte_in_a_payload_costs_that_message_and_no_other(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(20, size=100), messages(5, "/large", 50_000)])
    replace(path, b"7" + b"." * 99, b"8" + b"." * 99)
    report = salvage(path, tmp_path / "saved.db")
    assert (report.saved, report.missing, report.complete) == (24, 1, False)
    assert [(gap.first, gap.last) for gap in one(report, "/a").gaps] == [(8, 8)]
    # its row is left, so when it was received is known
    assert one(report, "/a").gaps[0].after_ns == START_NS + 70_000_000
    assert one(report, "/large").gaps == ()
    with open_as_recorded(tmp_path / "saved.db") as reader:
        assert [row.id for row in reader.rows("a")] == [*range(1, 8), *range(9, 21)]


def test_without_the_first_page_everything_else_is_saved(tmp_path: Path) -> None:
    poses = [(START_NS + i, ODOM, pose(START_NS + i, float(i))) for i in range(30)]
    path = record(tmp_path / "walk.db", [messages(20), poses, messages(5, "/b", 50_000)])
    with open_as_recorded(path) as reader:
        infos = dict(reader.streams)
        rows = {name: list(reader.rows(name)) for name in infos}
    change(path, 0, bytes(PAGE))
    assert salvage(path, tmp_path / "saved.db").missing == 0
    with open_as_recorded(tmp_path / "saved.db") as reader:
        assert dict(reader.streams) == infos
        assert {name: list(reader.rows(name)) for name in infos} == rows


def test_sessions_accounts_and_markers_are_saved_too(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(20)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO _dr_markers VALUES (1, ?, NULL, 'here', NULL)", (START_NS,))
        connection.commit()
    with open_as_recorded(path) as reader:
        before = reader.sessions(), reader.markers()
    replace(path, b"7" + b"." * 99, b"8" + b"." * 99)
    salvage(path, tmp_path / "saved.db")
    with open_as_recorded(tmp_path / "saved.db") as reader:
        assert (reader.sessions(), reader.markers()) == before


def test_messages_behind_a_damaged_page_of_the_log_are_saved(
    originals: list[Original], tmp_path: Path
) -> None:
    killed = originals[-1]
    folder = tmp_path / "damaged"
    folder.mkdir()

    def first_frame(path: Path, original: Original, dice: random.Random) -> set[tuple[str, int]]:
        change(Path(f"{path}-wal"), 32 + 24 + 100, b"damage")
        return {("wal", 32 + 24)}

    outcome = try_one(killed, first_frame, random.Random(0), folder)
    assert outcome.problems == []
    with closing(sqlite3.connect(folder / killed.path.name)) as connection:
        names = [row[0] for row in connection.execute("SELECT stream FROM _dr_topics")]
        seen = [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names]
    assert sum(seen) < outcome.saved


def test_a_recording_that_is_in_order_is_saved_whole(tmp_path: Path) -> None:
    path = write_finished(tmp_path / "walk.db")
    report = salvage(path, tmp_path / "saved.db")
    assert report.complete
    assert report.unproven == 0
    with RecordingReader.open(path) as old, RecordingReader.open(tmp_path / "saved.db") as new:
        for name, info in old.streams.items():
            assert new.streams[name] == info
            assert list(new.rows(name)) == list(old.rows(name))


def test_what_dimos_wrote_is_saved_and_is_said_to_be_without_proof(tmp_path: Path) -> None:
    path = write_dimos_file(
        tmp_path / "memory.db", [one for one in ALL if one is not UNKNOWN_CODEC]
    )
    with RecordingReader.open(path) as reader:
        expected = {name: [row.data for row in reader.rows(name)] for name in reader.streams}
    report = salvage(path, tmp_path / "saved.db")
    assert report.unproven == report.saved == sum(map(len, expected.values()))
    with RecordingReader.open(tmp_path / "saved.db") as reader:
        assert {n: [row.data for row in reader.rows(n)] for n in reader.streams} == expected


def test_a_wrong_message_is_not_saved_where_there_are_no_checksums_but_a_type(
    tmp_path: Path,
) -> None:
    poses = [(START_NS + i, ODOM, pose(START_NS + i, float(i))) for i in range(30)]
    path = record(tmp_path / "walk.db", [poses])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE odom SET crc = NULL")
        connection.commit()
    right = pose(START_NS + 7, 7.0)
    replace(path, right, b"another type" + right[12:])
    report = salvage(path, tmp_path / "saved.db")
    assert (report.saved, report.missing, report.unproven) == (29, 1, 29)


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[None]:
    before = {path.name for path in tmp_path.iterdir()}
    yield
    assert {path.name for path in tmp_path.iterdir()} - before <= {"walk.db", "saved.db"}


@pytest.mark.usefixtures("nothing_left")
def test_what_is_no_recording_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "walk.db").write_bytes(random.Random(0).randbytes(200_000))
    with pytest.raises(RecordingDamaged, match=r"walk\.db"):
        salvage(tmp_path / "walk.db", tmp_path / "saved.db")
    assert not (tmp_path / "saved.db").exists()


@pytest.mark.usefixtures("nothing_left")
def test_cancelling_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(500)])
    (tmp_path / "saved.db").write_bytes(b"before")

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        salvage(path, tmp_path / "saved.db", overwrite=True, on_progress=cancel)
    assert (tmp_path / "saved.db").read_bytes() == b"before"


def test_nothing_is_replaced_unasked_and_what_is_in_use_is_not_read(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(5)])
    (tmp_path / "saved.db").touch()
    with pytest.raises(RecordingExists, match="--overwrite"):
        salvage(path, tmp_path / "saved.db")
    with RecordingReader.open(path), pytest.raises(RecordingBusy, match=r"walk\.db"):
        salvage(path, tmp_path / "other.db")


def test_the_damage_that_is_tried_is_found_by_the_check(
    originals: list[Original], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of the tests above is none if it passes whatever `salvage` does."""
    monkeypatch.setattr(
        "dimos_record.store.salvage.proof.checksum", lambda seed, number, seq, ts, data: 0
    )
    (tmp_path / "1").mkdir()
    outcome = try_one(originals[0], zero_first_page, random.Random(1), tmp_path / "1")
    assert any("missing" in problem for problem in outcome.problems)
    monkeypatch.undo()
    monkeypatch.setattr(
        "dimos_record.store.salvage.proof.Judge.is_whole", lambda judge, row, data: True
    )
    (tmp_path / "2").mkdir()
    many = [flip, lose_log]
    found = []
    for number in range(6):
        folder = tmp_path / "2" / str(number)
        folder.mkdir()
        dice = random.Random(number)
        found += try_one(originals[0], many[number % 2], dice, folder).problems
    assert any("wrong" in problem for problem in found)


def test_a_recording_that_cannot_even_be_opened_is_salvaged(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(20)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE _dr_topics SET channel = CAST(x'2F61FF' AS TEXT)")
        connection.commit()
    recovered = rescue(path)
    assert [report.saved for report in recovered.reports] == [20]
    assert not recovered.complete  # what the topic was called is only known from its table
    with open_as_recorded(tmp_path / "walk-recovered.db") as reader:
        assert reader.streams["a"].topic == "/a"


@pytest.mark.parametrize(
    "statement",
    [
        "VACUUM INTO '{made}'",
        "ATTACH '{made}' AS _dr_spool",
        "CREATE TABLE _dr_spool AS WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT x FROM c) "
        "SELECT * FROM c, c, c",
    ],
)
def test_what_a_file_says_of_its_tables_is_read_and_not_done(
    tmp_path: Path, statement: str
) -> None:
    path, made = record(tmp_path / "walk.db", [messages(3)]), tmp_path / "made"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        said = statement.format(made=made)
        update = "UPDATE sqlite_master SET sql = ? WHERE name = '_dr_spool'"
        connection.execute(update, (said,))
        connection.commit()
    with Pages.of(path) as pages:
        assert Trees(pages).columns("_dr_spool") == []
        assert Trees(pages).columns("_dr_topics")
    assert not made.exists()


def test_a_page_number_that_only_a_log_has_is_not_counted_to(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(3)])
    with Pages.of(path) as pages:
        last = pages.count
        pages.log = pages.log._replace(pages={2**32 - 1: 0, 2: 24})
        assert list(pages.numbers()) == [*range(1, last + 1), 2**32 - 1]

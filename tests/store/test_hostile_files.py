"""Whatever lies at the path: one error of ours in one sentence, and nothing on disk changes."""

from __future__ import annotations

import os
import random
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dimos_record.errors import (
    DimosRecordError,
    NewerSchema,
    NotARecording,
    RecordingDamaged,
    RecordingNotFound,
    StorageError,
)
from dimos_record.store import open_recording
from dimos_record.store.meta import Where
from dimos_record.store.writer import RecordingWriter
from tests.store.dimos_files import ODOM, write_dimos_file
from tests.store.samples import ODOM as ODOM_CHANNEL
from tests.store.samples import START_NS, begin, end, killed, messages, pose, record, snapshot


def read_everything(path: Path) -> list[str]:
    """Use every way to read; the names of the streams."""
    with open_recording(path) as reader:
        reader.sessions(), reader.span_ns(), reader.schema_version
        for name in reader.streams:
            reader.stats(name)
            for row in reader.rows(name):
                assert isinstance(row.data, bytes)
            list(reader.rows(name, reverse=True))
            list(reader.meta_rows(name, Where()))
            reader.last_at(name, START_NS)
            reader.count_between(name, None, None)
        return list(reader.streams)


def append_to(path: Path) -> None:
    writer = RecordingWriter.append(path)
    try:
        begin(writer, START_NS + 10**12).write([(START_NS + 10**12, ODOM_CHANNEL, b"more")])
        writer.end_session(START_NS + 10**12, "stopped", 0, 0)
    finally:
        writer.close()


@contextmanager
def only_sentences() -> Iterator[None]:
    """Let errors of ours pass, if each is one sentence."""
    try:
        yield
    except DimosRecordError as error:
        check_sentence(error)


def check_sentence(error: DimosRecordError) -> None:
    text = str(error)
    if "\n" in text or len(text) > 600:
        pytest.fail(f"{type(error).__name__} is not one sentence: {text}")


def text_file(path: Path) -> None:
    path.write_text("# Shopping list\n" * 100)


def nearly_sqlite(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + os.urandom(4000))


def other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE contacts (name, phone)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda path: None, RecordingNotFound, "there is no recording"),
        (Path.touch, NotARecording, "is empty"),
        (Path.mkdir, NotARecording, "folder without any recording"),
        (text_file, NotARecording, "is not an SQLite file"),
        (nearly_sqlite, DimosRecordError, "walk.db"),
        (other_database, NotARecording, "no _streams table"),
        (os.mkfifo, StorageError, "not a regular file"),
        (lambda path: path.symlink_to("nowhere"), RecordingNotFound, "there is no recording"),
        (lambda path: path.symlink_to(path), StorageError, "cannot be read"),
    ],
    ids=["missing", "empty", "folder", "text", "noise", "database", "pipe", "dead link", "loop"],
)
def test_what_is_no_recording_is_refused(
    tmp_path: Path, make: Callable[[Path], None], kind: type[DimosRecordError], says: str
) -> None:
    path = tmp_path / "walk.db"
    make(path)
    before = sorted(tmp_path.iterdir())
    content = path.read_bytes() if path.is_file() else None
    for use in (read_everything, append_to):
        if use is append_to and path.is_dir():
            continue
        with pytest.raises(kind, match=says) as caught:
            use(path)
        check_sentence(caught.value)
        assert "walk.db" in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    assert content is None or path.read_bytes() == content


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    for name in ("a\0b.db", "x" * 300 + ".db"):
        with pytest.raises(DimosRecordError) as caught:
            read_everything(tmp_path / name)
        check_sentence(caught.value)


@pytest.mark.parametrize("name", ["what?.db", "50%.db", "a#b.db", "a b.db", "ä.db", "a'b\".db"])
def test_names_with_special_characters_work(tmp_path: Path, name: str) -> None:
    path = record(tmp_path / name, [messages(3)])
    assert list(snapshot(tmp_path)) == [name]
    append_to(path)
    assert read_everything(path) == ["a", "odom"]


def test_a_truncated_recording_says_how_much_is_missing(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(100, size=10_000)])
    whole = path.read_bytes()
    for kept in (0, 1, 15, 16, 50, 99, 100, 101, 512, 4096, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        for use in (read_everything, append_to):
            with pytest.raises((RecordingDamaged, NotARecording)) as caught:
                use(path)
            check_sentence(caught.value)
            if kept >= 16:
                assert f"is truncated: {kept:,} of" in str(caught.value)
        assert path.read_bytes() == whole[:kept]
        assert [file.name for file in tmp_path.iterdir()] == ["walk.db"]


def damage(data: bytearray, rng: random.Random) -> None:
    kind = rng.choice(["bytes", "zeros", "header", "text"])
    if kind == "bytes":
        for _ in range(rng.choice([1, 10, 300])):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == "zeros":
        at = rng.randrange(len(data))
        length = min(len(data) - at, rng.choice([100, 5000, 40_000]))
        data[at : at + length] = bytes(length)
    elif kind == "header":
        data[rng.randrange(100)] = rng.randrange(256)
    else:
        word = rng.choice(
            [b"INTEGER", b"schema_version", b"odom", b"_dr_topics", b"_streams", b"{"]
        )
        at = data.find(word, rng.randrange(len(data)))
        if at >= 0:
            data[at : at + len(word)] = bytes(rng.randrange(32, 127) for _ in word)


@pytest.mark.once
@pytest.mark.parametrize("state", ["finished", "killed"])
def test_a_recording_with_flipped_bytes_opens_or_says_why_not(tmp_path: Path, state: str) -> None:
    original = tmp_path / "original.db"
    if state == "killed":
        killed(original)
    else:
        writer = begin(RecordingWriter.create(original))
        for i in range(20):
            writer.write(
                [(START_NS + i, ODOM_CHANNEL, pose(i + 1)), (START_NS + i, "/b", bytes(40_000))]
            )
        writer.append_one(
            ODOM_CHANNEL, START_NS + 99, pose(9), tags={"a": 1}, pose=(1, 2, 3, 0, 0, 0, 1)
        )
        end(writer)
    parts = [suffix for suffix in ("", "-wal") if Path(f"{original}{suffix}").exists()]
    rng = random.Random(state)
    path = tmp_path / "walk.db"
    opened = 0
    for _ in range(150):
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        hit = rng.choice(parts)
        for suffix in parts:
            data = bytearray(Path(f"{original}{suffix}").read_bytes())
            if suffix == hit:
                damage(data, rng)
            Path(f"{path}{suffix}").write_bytes(data)
        for use in (read_everything, append_to, read_everything):
            with only_sentences():
                use(path)
                opened += 1
    assert opened > 100


def test_a_recording_of_a_newer_schema_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(3)])
    connection = sqlite3.connect(path)
    connection.execute("UPDATE _dr_meta SET value = 99 WHERE key = 'schema_version'")
    connection.commit()
    connection.close()
    before = snapshot(tmp_path)
    for use in (read_everything, append_to):
        with pytest.raises(NewerSchema, match=r"schema version 99 .* pip install -U dimos-record"):
            use(path)
    assert snapshot(tmp_path) == before


def hostile(path: Path, *statements: str) -> Path:
    """dimos's file, with statements executed on it."""
    write_dimos_file(path, [ODOM], tag_indexes=False)
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


COLUMNS = "id, ts, value, pose_x, pose_y, pose_z, pose_qx, pose_qy, pose_qz, pose_qw, tags"


@pytest.mark.parametrize(
    "statements",
    [
        ["INSERT INTO _streams VALUES ('sqlite_master', '{}')"],
        ["INSERT INTO _streams VALUES ('_streams', '{}')"],
        ["INSERT INTO _streams VALUES ('odom_blob', '{}')"],
        ["INSERT INTO _streams VALUES ('nothing', '{}')"],
        ["INSERT INTO _streams VALUES ('', '{}')"],
        ["""INSERT INTO _streams VALUES ('x"; DROP TABLE odom; --', '{}')"""],
        [f'CREATE TABLE "q""uote" ({COLUMNS})', """INSERT INTO _streams VALUES ('q"uote', '{}')"""],
        [f'CREATE TABLE "../up" ({COLUMNS})', "INSERT INTO _streams VALUES ('../up', '{}')"],
        [
            f"CREATE VIEW v AS WITH RECURSIVE r({COLUMNS}) AS "
            f"(SELECT 1,1,1,1,1,1,1,1,1,1,1 UNION ALL SELECT * FROM r) SELECT * FROM r",
            "INSERT INTO _streams VALUES ('v', '{}')",
        ],
        [
            f"CREATE VIRTUAL TABLE f USING fts5({COLUMNS.replace('value', 'val')})",
            "INSERT INTO _streams VALUES ('f', '{}')",
        ],
        ["UPDATE _streams SET config = 'no json'"],
        ["UPDATE _streams SET config = '[1, 2]'"],
        ["UPDATE _streams SET config = x'FF00'"],
        ['UPDATE _streams SET config = \'{"payload_module": 5, "codec_id": null}\''],
        ["INSERT INTO _streams VALUES (x'00FF', '{}')"],
        ["UPDATE odom SET tags = x'FFFF' WHERE id = 2"],
        ["UPDATE odom SET tags = zeroblob(1000)"],
        ["UPDATE odom SET ts = 'noon' WHERE id = 3"],
        ["UPDATE odom SET ts = 9e999 WHERE id = 3"],
        ["UPDATE odom SET ts = -9e999 WHERE id = 3"],
        ["UPDATE odom SET pose_x = 'left', pose_y = x'00'"],
        ["DELETE FROM odom_blob WHERE id = 2"],
        ["UPDATE odom_blob SET data = 'text' WHERE id = 2"],
        ["UPDATE odom_blob SET data = 5 WHERE id = 2"],
        ["DROP TABLE odom_blob"],
        ["DROP TABLE odom_blob", "CREATE VIEW odom_blob AS SELECT 1 AS id, x'00' AS data"],
        ["CREATE TABLE _dr_meta (key, value)", "INSERT INTO _dr_meta VALUES ('schema_version', 1)"],
        ["CREATE TABLE _dr_meta (x)"],
        ["CREATE TABLE _dr_topics (x)"],
        ["CREATE TRIGGER t AFTER INSERT ON odom BEGIN DELETE FROM odom; END"],
        ["CREATE TEMP TABLE x (y)"],
    ],
    ids=lambda statements: " ".join(statements)[:60],
)
def test_a_hostile_file_is_read_as_far_as_it_makes_sense(
    tmp_path: Path, statements: list[str]
) -> None:
    path = hostile(tmp_path / "walk.db", *statements)
    before = snapshot(tmp_path)
    with only_sentences():
        assert set(read_everything(path)) <= {"odom"}
    assert snapshot(tmp_path) == before
    with only_sentences():
        append_to(path)
        read_everything(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE _dr_sessions SET meta = 'no json'",
        "UPDATE _dr_sessions SET meta = '[]'",
        'UPDATE _dr_sessions SET meta = \'{"pid": "one", "host": 5}\', state = \'recording\'',
        "UPDATE _dr_sessions SET start_ns = 'noon'",
        "UPDATE _dr_sessions SET stop_ns = x'00'",
        "UPDATE _dr_topics SET stream = 'sqlite_master'",
        "UPDATE _dr_topics SET stream = 'a\"; DROP TABLE a; --'",
        "UPDATE _dr_topics SET codec = 'zstd', fingerprint = 'no number'",
        "UPDATE _dr_topics SET topic = x'FF', channel = 5, type_name = x'00'",
        "UPDATE _dr_account SET received = 'many'",
        "DELETE FROM _dr_topics",
        "DROP TABLE _dr_account",
        "DROP TABLE _dr_spool",
        "DROP TABLE _streams",
        "UPDATE a SET ts_ns = ts_ns + 10000000000 WHERE id = 3",
        "UPDATE a SET ts_ns = 5 WHERE id > 2",
        "UPDATE a SET ts_ns = NULL WHERE id = 2",
        "DELETE FROM a WHERE id IN (1, 3)",
        "UPDATE a SET ts_ns = 'noon', seq = NULL WHERE id = 2",
        "UPDATE a SET seq = 'first', stamp_ns = 'soon'",
        "INSERT INTO _dr_spool VALUES (1000, 1, 1, 'noon', 'soon', 5, 7)",
        "INSERT INTO _dr_spool VALUES (1000, 77, 1, 5, 5, x'00', 7)",
        "UPDATE _dr_meta SET value = 'one'",
        "UPDATE _dr_meta SET value = -5",
    ],
)
def test_nonsense_in_our_own_tables_is_survived(tmp_path: Path, statement: str) -> None:
    path = record(tmp_path / "walk.db", [messages(5)])
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
    before = snapshot(tmp_path)
    with only_sentences():
        read_everything(path)
    assert snapshot(tmp_path) == before
    with only_sentences():
        append_to(path)
        read_everything(path)


def test_a_stream_called_like_a_command_is_just_a_stream(tmp_path: Path) -> None:
    path = write_dimos_file(tmp_path / "walk.db", [ODOM._replace(name="select")])
    with open_recording(path) as reader:
        assert next(reader.rows("select")).data == ODOM.payloads[0]


def test_a_process_number_that_none_can_have_is_of_no_process_that_runs(tmp_path: Path) -> None:
    path = killed(tmp_path / "walk.db", batches=2)
    with sqlite3.connect(path) as connection:
        meta = f'{{"pid": {2**40}, "host": "{socket.gethostname()}"}}'
        connection.execute("UPDATE _dr_sessions SET meta = ?", (meta,))
    connection.close()
    with open_recording(path) as reader:
        assert [session.state for session in reader.sessions()] == ["killed"]


def test_a_text_in_the_place_of_a_payload_is_its_bytes(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(2)])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE a_blob SET data = 'text'")
    connection.close()
    with open_recording(path) as reader:
        assert [row.data for row in reader.rows("a")] == [b"text"] * 2

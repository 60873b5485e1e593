"""Bad input: one sentence on stderr, a documented exit code, and nothing on disk has changed."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dimos_record.cli.main import main
from tests.cli.commands import Running
from tests.cli.samples import make_newer, run_each_in, run_in, tree, write_robot

BUS = "--bus=memory://bad-input"


def missing(folder: Path) -> None:
    """Nothing is there."""


def empty_folder(folder: Path) -> None:
    (folder / "bad.db").mkdir()


def folder_of_texts(folder: Path) -> None:
    (folder / "bad.db").mkdir()
    (folder / "bad.db" / "notes.txt").write_text("no recording")


def text_file(folder: Path) -> None:
    (folder / "bad.db").write_text("This is a text, and not a recording.\n" * 100)


def empty_file(folder: Path) -> None:
    (folder / "bad.db").touch()


def truncated(folder: Path) -> None:
    whole = (folder / "good.db").read_bytes()
    (folder / "bad.db").write_bytes(whole[: len(whole) // 2])


def newer_schema(folder: Path) -> None:
    shutil.copy(folder / "good.db", folder / "bad.db")
    make_newer(folder / "bad.db")


def other_database(folder: Path) -> None:
    with sqlite3.connect(folder / "bad.db") as connection:
        connection.execute("CREATE TABLE cats (name)")
    connection.close()


def no_permission(folder: Path) -> None:
    shutil.copy(folder / "good.db", folder / "bad.db")
    (folder / "bad.db").chmod(0)


def in_two_folders(folder: Path) -> None:
    (folder / "data" / ".lfs").mkdir(parents=True)
    shutil.copy(folder / "good.db", folder / "data" / "bad.db")
    shutil.copy(folder / "good.db", folder / "bad.db")


BAD_FILES: list[tuple[Callable[[Path], None], int]] = [
    (missing, 3),
    (empty_folder, 4),
    (folder_of_texts, 4),
    (text_file, 4),
    (empty_file, 4),
    (truncated, 4),
    (newer_schema, 4),
    (other_database, 4),
    (in_two_folders, 3),
]
READING = [
    ("info", "bad.db"),
    ("echo", "/odom", "--file", "bad.db"),
    ("compare", "bad.db", "./good.db"),
    ("compare", "./good.db", "bad.db"),
    ("play", "bad.db", BUS),
    ("fill-poses", "bad.db"),
    ("trim", "bad.db", "1", "2"),
    ("cut", "bad.db", "1", "2", "--dry-run"),
    ("rename", "bad.db", "/odom", "/pose"),
    ("shift", "bad.db", "/odom", "-50ms"),
    ("codec", "bad.db", "/odom", "lz4+lcm"),
    ("mark", "bad.db", "1", "here"),
    ("markers", "bad.db"),
    ("doctor", "bad.db"),
    ("keep", "bad.db"),
    ("markers", "export", "bad.db", "out.csv"),
    ("markers", "import", "bad.db", "good.csv"),
    ("undo", "bad.db"),
    ("redo", "bad.db"),
    ("history", "bad.db"),
    ("revert", "bad.db"),
    ("save", "bad.db"),
    ("save", "bad.db", "--as", "out.db"),
    ("extract", "bad.db", "1", "2", "out.db"),
    ("export", "lcm", "bad.db", "out.lcm"),
    ("export", "parquet", "bad.db", "out", "--partition-by", "day"),
    ("plot", "bad.db", "/odom.pose.position.x"),
    ("split", "bad.db", "1"),
    ("merge", "out.db", "./good.db", "bad.db"),
    ("publish", "bad.db"),
    ("view", "bad.db", "--save", "out.rrd"),
]
WRITING = [
    ("record", "./bad.db", BUS, "--append"),
    ("record", "./bad.db", BUS, "--overwrite"),
    ("import", "rosbag.mcap", "./bad.db", "--append"),
    ("import", "rosbag.mcap", "./bad.db", "--overwrite"),
]
NOT_MCAP: list[tuple[Callable[[Path], None], int]] = [
    (missing, 3),
    (empty_folder, 4),
    (text_file, 4),
    (empty_file, 4),
    (truncated, 4),
    (no_permission, 5),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_robot(tmp_path_factory.mktemp("good") / "good.db")


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    shutil.copy(good, tmp_path)
    (tmp_path / "good.csv").write_text("label,at_s\nhere,1\n")
    return tmp_path


Refused = Callable[..., str]


@pytest.fixture
def assert_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refused:
    """Run a command in the folder: it says one thing, exits with a code, and changes nothing."""

    def run_here(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["dimos-record", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capfd.readouterr()

    def check(arguments: tuple[str, ...], code: int, *, bound: bool = False) -> str:
        before = tree(folder)
        if bound:
            done = run_in(folder, *arguments)
            found = done.returncode, done.stdout, done.stderr
        else:
            found = run_here(*arguments)
        lines = found[2].splitlines()
        assert len(lines) == 1, found
        assert lines[0].startswith("error: ")
        assert found[:2] == (code, "")
        assert tree(folder) == before
        return lines[0]

    return check


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
@pytest.mark.parametrize(
    ("make", "code"), BAD_FILES, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_is_no_recording_is_refused(
    folder: Path,
    assert_refused: Refused,
    make: Callable[[Path], None],
    code: int,
    arguments: tuple[str, ...],
) -> None:
    make(folder)
    assert "bad.db" in assert_refused(arguments, code)


def test_what_may_not_be_read_is_refused(folder: Path) -> None:
    no_permission(folder)
    before = tree(folder)
    for arguments, found in zip(READING, run_each_in(folder, READING), strict=True):
        assert found[:2] == (5, ""), (arguments, found)
        assert found[2].startswith("error: "), arguments
        assert "bad.db" in found[2], arguments
        assert found[2].count("\n") == 1, arguments
    assert tree(folder) == before


NEVER_WRITTEN_TO = [
    pytest.param(arguments, make, code, id=f"{' '.join(arguments[::3])}-{make.__name__}")
    for arguments in WRITING
    for make, code in [*BAD_FILES, (no_permission, 5)]
    if make not in (missing, in_two_folders, empty_folder)
    # a recorder that was killed at once leaves an empty file, in which the next one begins
    and (make is not empty_file or arguments[0] != "record")
]


@pytest.mark.parametrize(("arguments", "make", "code"), NEVER_WRITTEN_TO)
def test_what_is_no_recording_is_never_written_to(
    folder: Path,
    assert_refused: Refused,
    make: Callable[[Path], None],
    code: int,
    arguments: tuple[str, ...],
    rosbag: Path,
) -> None:
    shutil.copy(rosbag, folder / "rosbag.mcap")
    make(folder)
    code = 3 if (folder / "bad.db").is_dir() and arguments[0] == "import" else code
    assert "bad.db" in assert_refused(arguments, code, bound=make is no_permission)


@pytest.mark.parametrize(
    ("make", "code"), NOT_MCAP, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_is_no_mcap_file_is_not_imported(
    folder: Path, assert_refused: Refused, make: Callable[[Path], None], code: int
) -> None:
    make(folder)
    arguments = ("import", "bad.db", "out.db")
    assert "bad.db" in assert_refused(arguments, code, bound=make is no_permission)


def test_a_truncated_mcap_file_is_not_imported(
    folder: Path, assert_refused: Refused, rosbag: Path
) -> None:
    whole = rosbag.read_bytes()
    (folder / "half.mcap").write_bytes(whole[: len(whole) // 2])
    assert_refused(("import", "half.mcap", "out.db"), 4)
    assert_refused(("import", "half.mcap", "good.db", "--overwrite"), 4)
    assert_refused(("import", "half.mcap", "good.db", "--append"), 4)


@pytest.mark.parametrize("command", [("record", "good.db", BUS), ("import", "a.mcap", "good.db")])
def test_a_recording_is_not_replaced_unasked(
    folder: Path, assert_refused: Refused, rosbag: Path, command: tuple[str, ...]
) -> None:
    shutil.copy(rosbag, folder / "a.mcap")
    assert "--overwrite" in assert_refused(command, 3)


OTHERS = [
    # unknown topics
    (("echo", "/nope", "-f", "good.db"), 6, "/nope"),
    (("play", "good.db", "/nope", BUS), 6, "/nope"),
    (("compare", "good.db", "good.db", "-t", "/nope"), 6, "/nope"),
    (("fill-poses", "good.db", "-t", "/nope"), 6, "/nope"),
    (("fill-poses", "good.db", "--from", "/nope"), 6, "/nope"),
    # patterns that are none
    (("record", "new.db", "[abc", BUS), 2, "[abc"),
    (("record", "new.db", "-x", "[abc", BUS), 2, "[abc"),
    (("play", "good.db", "[abc", BUS), 2, "[abc"),
    (("echo", "[abc", BUS), 2, "[abc"),
    (("echo", "[abc", "-f", "good.db"), 2, "[abc"),
    (("topics", "[abc", BUS), 2, "[abc"),
    (("compare", "good.db", "good.db", "-t", "[abc"), 2, "[abc"),
    (("fill-poses", "good.db", "-t", "[abc"), 2, "[abc"),
    (("demo-robot", "-t", "[abc", BUS), 2, "[abc"),
    (("record", "new.db", "--codec", "[abc=jpeg", BUS), 2, "[abc"),
    # rates, sizes, durations and counts that are none
    (("play", "good.db", "--speed", "0", BUS), 2, "0"),
    (("play", "good.db", "--speed=-1", BUS), 2, "-1"),
    (("play", "good.db", "--speed", "fast", BUS), 2, "fast"),
    (("demo-robot", "--camera-hz", "0", BUS), 2, "0"),
    (("demo-robot", "--duration", "0", BUS), 2, "--duration"),
    (("record", "new.db", "--duration", "0s", BUS), 2, "--duration"),
    (("record", "new.db", "--duration", "", BUS), 2, "--duration"),
    (("record", "new.db", "--duration=-5s", BUS), 2, "--duration"),
    (("record", "new.db", "--duration", "soon", BUS), 2, "--duration"),
    (("record", "new.db", "--max-size", "big", BUS), 2, "--max-size"),
    (("record", "new.db", "--max-size", "0", BUS), 2, "--max-size"),
    (("record", "new.db", "--max-messages", "0", BUS), 2, "max_messages"),
    (("record", "new.db", "--max-messages", "many", BUS), 2, "--max-messages"),
    (("record", "new.db", "--split", "10", BUS), 2, "--split"),
    (("record", "new.db", "--min-free", "x", BUS), 2, "--min-free"),
    (("record", "new.db", "--buffer", "0", BUS), 2, "--buffer"),
    (("record", "new.db", "--codec", "jpeg", BUS), 2, "--codec"),
    (("record", "new.db", "--codec", "/odom=zip", BUS), 2, "zip"),
    (("topics", "--duration", "0", BUS), 2, "--duration"),
    (("echo", "/odom", "-n", "0", BUS), 2, "--count"),
    (("echo", "/odom", "-f", "good.db", "--start", "soon"), 2, "--start"),
    (("echo", "/odom", "-f", "good.db", "--start", "4", "--end", "2"), 2, "--end"),
    (("echo", "/odom", "-f", "good.db", "--field", "pose.nope"), 2, "position"),
    (("echo", "/odom", "-f", "good.db", "--field", "."), 2, "--field"),
    (("fill-poses", "good.db", "--tolerance", "0"), 2, "--tolerance"),
    # options that contradict each other
    (("record", "new.db", "/odom", "--all", BUS), 2, "--all"),
    (("record", "new.db", "--append", "--overwrite", BUS), 2, "--append"),
    (("import", "a.mcap", "new.db", "--append", "--overwrite"), 2, "--append"),
    (("echo", "/odom", "--start", "2", BUS), 2, "--file"),
    (("echo", "/odom", "-f", "good.db", BUS), 2, "--bus"),
    (("echo", "/odom", "-f", "good.db", "--raw", "--field", "pose"), 2, "--raw"),
    # names
    (("record", "", BUS), 2, "name"),
    (("info", ""), 2, "name"),
    (("record", "no/such/folder/new.db", BUS), 5, "no/such/folder"),
    (("import", "a.mcap", "no/such/folder/new.db"), 5, "no/such/folder"),
    # buses
    (("record", "new.db", "--bus", "nonsense"), 7, "nonsense"),
    (("record", "new.db", "--bus", "udpm://1.2.3.4:7667"), 7, "1.2.3.4"),
    (("record", "new.db", "--bus", "udpm://239.255.76.67:nope"), 7, "nope"),
    (("play", "good.db", "--bus", "nonsense"), 7, "nonsense"),
    (("topics", "--bus", "nonsense"), 7, "nonsense"),
    (("echo", "/odom", "--bus", "nonsense"), 7, "nonsense"),
    (("demo-robot", "--bus", "nonsense"), 7, "nonsense"),
    # usage
    (("nope",), 2, "nope"),
    (("info",), 2, "FILE"),
    (("echo",), 2, "TOPIC"),
    (("compare", "good.db"), 2, "B"),
    (("record", "new.db", "--nope"), 2, "--nope"),
    (("view", "good.db", "--connect"), 2, "dimos-record view --help"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "named"), OTHERS, ids=[" ".join(one[0]) for one in OTHERS]
)
def test_what_makes_no_sense_is_refused(
    folder: Path,
    assert_refused: Refused,
    rosbag: Path,
    arguments: tuple[str, ...],
    code: int,
    named: str,
) -> None:
    shutil.copy(rosbag, folder / "a.mcap")
    assert named in assert_refused(arguments, code)


def test_nothing_is_recorded_into_a_folder_that_may_not_be_written(
    folder: Path, assert_refused: Refused
) -> None:
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    assert "closed" in assert_refused(("record", "closed/new.db", BUS), 5, bound=True)


def test_a_recording_that_is_being_made_is_not_written_to_by_another(folder: Path) -> None:
    with Running("record", folder / "now.db", BUS) as recording:
        recording.wait_for("Recording to")
        for option in ("--append", "--overwrite"):
            done = run_in(folder, "record", "now.db", BUS, option)
            assert (done.returncode, done.stdout) == (5, "")
            assert len(done.stderr.splitlines()) == 1
        assert recording.end(signal.SIGINT)[0] == 0

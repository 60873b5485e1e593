"""`record --ring` and `keep`, as people and systemd run them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record.bus import Bus, open_bus
from dimos_record.store import open_recording
from dimos_record.testing import free_lcm_url
from tests.cli.commands import Running, run, until, write_recording

pytestmark = pytest.mark.once


@pytest.fixture
def url() -> str:
    return free_lcm_url()


@pytest.fixture
def bus(url: str) -> Iterator[Bus]:
    with open_bus(url) as bus:
        yield bus


def count(path: Path) -> int:
    with open_recording(path) as reader:
        return reader.stats("odom").count if "odom" in reader.streams else 0


def kept(folder: Path, name: str, *arguments: str) -> dict[str, object]:
    """What the command says in JSON."""
    out = folder / name
    done = run("keep", folder / "ring", "--as", out, "--json", "-q", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    assert found["path"] == str(out)
    return found


def test_the_same_command_goes_on_and_the_past_is_kept(tmp_path: Path, bus: Bus, url: str) -> None:
    command = ("record", tmp_path / "ring", "--ring", "10m", "--ring", "1GB", "--bus", url)
    for number, end in enumerate((signal.SIGKILL, signal.SIGTERM)):
        with Running(*command, "--keep-on", "/estop") as recorder:
            recorder.wait_for("Recording to")
            for _ in range(5):
                bus.publish("/odom", b"here")
            until(lambda: count(tmp_path / "ring") == 5 * (number + 1), "recorded")  # noqa: B023
            assert kept(tmp_path, f"{number}.db", "--last", "1h")["messages"] == 5 * (number + 1)
            if end == signal.SIGTERM:
                bus.publish("/estop", b"!")
                recorder.wait_for("Kept ")
            recorder.end(end)
    (by_message,) = tmp_path.glob("ring-*.db")
    assert count(by_message) == 10


def test_a_section_of_any_recording_can_be_kept(tmp_path: Path) -> None:
    write_recording(tmp_path / "ring")
    assert kept(tmp_path, "a.db", "--start", "5", "--end", "+1")["messages"] == 11
    assert kept(tmp_path, "b.db", "--last", "1s")["messages"] == 13
    done = run("keep", tmp_path / "ring", "--start", "30", "-q")
    assert (done.returncode, done.stdout) == (6, ""), done.stderr
    assert "no message in that time" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("keep", "walk.db", "--last", "1m", "--start", "3"), 2, "contradict each other"),
        (("keep", "walk.db", "--last", "long"), 2, "is not a duration"),
        (("keep", "nothing.db"), 3, "there is no recording"),
        (("keep", "walk.db", "--as", "walk.db"), 2, "is, or lies in, the recording"),
        (("record", "ring", "--ring", "much"), 2, "neither a duration nor a size"),
        (("record", "ring", "--ring", "1m", "--ring", "2m"), 2, "give one time, one size"),
        (("record", "ring", "--keep-on", "/estop"), 2, "give --ring"),
        (("record", "ring", "--ring", "1m", "--keep-last", "5s"), 2, "give its topic"),
        (
            ("record", "ring", "--ring", "1m", "--keep-on", "/estop", "--keep-last", "2m"),
            2,
            "--keep-last (keep_last_s: 120 s) reaches further back than the ring (60 s)",
        ),
        (("record", "walk.db", "--ring", "1m"), 2, "is a single file"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "walk.db", 2)
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["walk.db"]

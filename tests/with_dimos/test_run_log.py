"""The log of a dimos run is followed as it is written, whatever becomes of the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dimos_record.integrations.dimos import run_log
from dimos_record.integrations.dimos.run_log import RunLog

pytestmark = pytest.mark.dimos

AT = "2026-11-20T13:12:39.123456Z"
AT_NS = 1_795_180_359_123_456_000


def write(path: Path, *events: str, mode: str = "a") -> None:
    with open(path, mode) as file:
        for event in events:
            entry = {"timestamp": AT, "level": "info", "logger": "a.py", "event": event, "n": 1}
            file.write(json.dumps(entry | {"lineno": 7}) + "\n")


def follow(folder: Path) -> tuple[RunLog, Path]:
    return RunLog(folder), folder / "main.jsonl"


def events(log: RunLog) -> list[str]:
    return [one.line for one in log()]


def test_what_was_logged_before_and_since(tmp_path: Path) -> None:
    log, path = follow(tmp_path)
    assert log() == []
    write(path, "before")
    assert log() == [(AT_NS, "info", "a.py", "before n=1")]
    write(path, "since", "and on")
    assert events(log) == ["since n=1", "and on n=1"]
    assert log() == []
    log.close()


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    log, path = follow(tmp_path)
    path.write_text('{"event": "be')
    assert events(log) == []
    with open(path, "a") as file:
        file.write('gun"}\n')
    assert events(log) == ["begun"]
    log.close()


def test_a_new_file_is_followed_when_the_old_one_is_read_to_its_end(tmp_path: Path) -> None:
    log, path = follow(tmp_path)
    write(path, "1")
    assert events(log) == ["1 n=1"]
    write(path, "2")
    path.rename(tmp_path / "main.jsonl.1")
    write(path, "3")
    assert events(log) + events(log) == ["2 n=1", "3 n=1"]
    log.close()


def test_of_a_long_log_only_the_last_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "_PAGE_BYTES", 1000)
    log, path = follow(tmp_path)
    write(path, *map(str, range(100)))
    read = events(log)
    assert 0 < len(read) < 12
    assert read[-1] == "99 n=1"
    log.close()


def test_what_comes_faster_than_it_is_read_is_skipped_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, path = follow(tmp_path)
    write(path, "0")
    log()
    monkeypatch.setattr(run_log, "_PAGE_BYTES", 1000)
    monkeypatch.setattr(run_log, "_FAR_BEHIND_BYTES", 5000)
    write(path, *map(str, range(1, 100)))
    read = events(log)
    assert "bytes of the log are left out here" in read[0]
    assert read[-1] == "99 n=1"
    log.close()


@pytest.mark.parametrize("line", ["no JSON", "[1]", "3", '{"timestamp": "soon", "event": "x"}'])
def test_lines_of_another_kind_are_kept_as_they_are(tmp_path: Path, line: str) -> None:
    log, path = follow(tmp_path)
    path.write_text(f"{line}\n")
    (found,) = log()
    assert found.line in (line, "x")
    assert found.ts_ns > AT_NS - 10**18
    log.close()


def test_a_process_without_a_run_has_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIMOS_RUN_LOG_DIR", raising=False)
    assert RunLog.of_this_run() is None

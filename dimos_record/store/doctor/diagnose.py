"""Looking a recording over, file by file."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from traceback import clear_frames

from dimos_record.errors import (
    DimosRecordError,
    NotARecording,
    NotSqlite,
    RecordingBusy,
    RecordingDamaged,
)
from dimos_record.store import catalog, schema
from dimos_record.store.carried import Carried, copies, load_carried
from dimos_record.store.connection import (
    BadContent,
    connect_for_reading,
    errors_about,
    has_log,
    translate,
)
from dimos_record.store.doctor.file_checks import FileChecks
from dimos_record.store.doctor.findings import SEVERITIES, Diagnosis, Finding, messages
from dimos_record.store.doctor.stream_checks import StreamChecks
from dimos_record.store.recording_file import is_unborn
from dimos_record.store.salvage.pages import Pages
from dimos_record.store.salvage.streams import find_streams
from dimos_record.store.salvage.trees import Trees
from dimos_record.store.segments import segments_of
from dimos_record.store.sessions import load_sessions
from dimos_record.store.table import StreamTable

OnProgress = Callable[[int, int], None]
"""(messages checked, messages in all); an exception that it raises cancels."""

_NONSENSE = (ArithmeticError, TypeError, UnicodeError)
"""What values of other kinds lead to, where numbers and texts should be."""
_NUMBER = re.compile(r"segment-([0-9]+)\.db")


def diagnose(
    path: Path, *, quick: bool = False, on_progress: OnProgress | None = None
) -> Diagnosis:
    """Find out what is wrong with a recording; nothing on disk is changed.

    Args:
        path: a file, or a folder of segments.
        quick: look at what is said of the messages, but do not read them: damage may go unseen.
        on_progress: tells how far it is.

    Raises:
        RecordingNotFound, NotARecording, NewerSchema, StorageError
        RecordingDamaged: it is so damaged that it cannot be opened.
    """
    files = segments_of(path) if os.path.isdir(path) else [path]
    if not files:
        raise NotARecording(f"{path} is a folder without any recording in it")
    examined = [
        _Examination(file, path, quick, on_progress, whole=file == files[0]) for file in files
    ]
    findings = [finding for one in examined for finding in one.findings]
    if os.path.isdir(path):
        findings += _missing_segments(path, files)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Diagnosis(
        path,
        tuple(findings),
        sum(one.messages for one in examined),
        sum(one.checked for one in examined),
    )


def _missing_segments(folder: Path, files: list[Path]) -> Iterator[Finding]:
    matches = (_NUMBER.fullmatch(file.name) for file in files)
    numbers = [int(match[1]) for match in matches if match]
    for before, after in pairwise(numbers):
        if after != before + 1:
            what = (
                f"segments are missing between segment-{before:05d}.db and segment-{after:05d}.db"
            )
            remedy = "copy them from where the recording came from"
            yield Finding("problem", "segments", what, remedy, folder, count=after - before - 1)


def _unborn(remedy: str) -> Finding:
    what = "it was being created when its recorder was killed or the power failed: it holds nothing"
    return Finding("problem", "unfinished", what, remedy)


class _Examination:
    """What was found in one file; not `whole`: without what it carries from those before it."""

    def __init__(
        self, file: Path, path: Path, quick: bool, on_progress: OnProgress | None, *, whole: bool
    ) -> None:
        self.file = file
        self._whole = whole
        self._carried: Carried = {}
        self.findings: list[Finding] = []
        self.messages = self.checked = 0
        self._on_progress = on_progress
        self._remedy = f"dimos-record recover {path}"
        try:
            with closing(connect_for_reading(file)) as connection, errors_about(file):
                schema.check(connection, file)
                in_use = self._examine(connection, path, quick)
            if not in_use:
                self._try(self._log)
        except (NotARecording, RecordingDamaged) as error:
            _let_go(error)
            wrong: DimosRecordError = error
            if _hides_a_recording(file, error):
                wrong = _first_page_lost(file, self._remedy)
            elif isinstance(error, NotSqlite):
                wrong = NotARecording(f"{file} is not a recording, and has nothing of one in it")
            if file == path:
                raise wrong from None
            if not isinstance(error, (NotSqlite, RecordingDamaged)) and is_unborn(file):
                self._add([_unborn(self._remedy)])
                return
            self._add([Finding("damage", "unreadable", str(wrong), self._remedy)])

    def _add(self, findings: list[Finding] | Iterator[Finding]) -> None:
        self.findings += [replace(finding, file=self.file) for finding in findings]

    def _examine(self, connection: sqlite3.Connection, path: Path, quick: bool) -> bool:
        """Do all checks but that of the log; returns whether the file is recorded into."""
        tables = catalog.load_tables(connection)
        sessions = load_sessions(connection) if schema.version(connection) else []
        checks = FileChecks(connection, self.file, tables, sessions)
        self._try(checks.quick)
        quick = quick or checks.in_use  # a long look would keep its log from being emptied
        if not quick:
            self._try(partial(checks.integrity, self._remedy))
        query = "SELECT lower(name) FROM sqlite_master WHERE type = 'index'"
        indexes = {str(row[0]) for row in connection.execute(query)}
        streams = [StreamChecks(connection, one, indexes, path) for one in tables]
        for stream in streams:
            self._try(stream.quick)
            for session in sessions:
                if session.stop_ns is not None:
                    self._try(partial(stream.backwards, session.start_ns, session.stop_ns))
        self._try(checks.account)
        self._try(partial(self._count, connection, tables))
        if not quick:
            self._compare(connection, streams)
        return checks.in_use

    def _try(self, check: Callable[[], Iterator[Finding]]) -> None:
        """Do a check; that it cannot be done is damage as well."""
        try:
            self._add(check())
        except (sqlite3.Error, BadContent, RecordingDamaged, *_NONSENSE) as error:
            _let_go(error)
            wrong: Exception = error
            if isinstance(error, sqlite3.Error):
                wrong = translate(error, self.file)
                if isinstance(wrong, RecordingBusy):
                    raise wrong from error
            if not any(finding.check == "unreadable" for finding in self.findings):
                what = f"a part of it cannot be read: {_short(wrong)}"
                self._add([Finding("damage", "unreadable", what, self._remedy)])

    def _log(self) -> Iterator[Finding]:
        """Whether the log beside it is whole."""
        if not has_log(self.file):
            return
        try:
            with Pages.of(self.file) as pages:
                log = pages.log
        except DimosRecordError:
            return  # somebody has just opened it
        if not log.sqlite_reads_all:
            what = (
                f"{log.damaged:,} damaged pages in its log, and SQLite does not see what "
                "comes behind them: opening it for writing would lose that"
            )
            yield Finding("damage", "log", what, self._remedy, count=log.damaged)

    def _count(
        self, connection: sqlite3.Connection, tables: list[StreamTable]
    ) -> Iterator[Finding]:
        if not self._whole:
            self._carried = load_carried(connection)
        self.messages = sum(
            table.figures(connection)[0] - copies(connection, self._carried, table.info.name)
            for table in tables
        )
        return iter(())

    def _compare(self, connection: sqlite3.Connection, streams: list[StreamChecks]) -> None:
        done = without = 0

        def on_messages(count: int) -> None:
            nonlocal done
            done += count
            if self._on_progress is not None:
                self._on_progress(min(done, self.messages), self.messages)

        for stream in streams:

            def compare(stream: StreamChecks = stream) -> Iterator[Finding]:
                nonlocal without
                checked, findings = stream.checksums(on_messages)
                if checked.right or checked.wrong:
                    copied = copies(connection, self._carried, stream.name, "crc")
                    self.checked += checked.right + checked.wrong - copied
                without += checked.without
                return iter(findings)

            self._try(compare)
        if without:
            what = (
                f"{messages(without)} without a checksum (dimos or an older release wrote them): "
                "a byte that changed inside them would not be noticed"
            )
            self._add([Finding("note", "checksums", what, count=without)])


def _let_go(error: BaseException | None) -> None:
    """Release the cursors of an error's frames: they keep a connection that was closed open."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _short(error: Exception) -> str:
    text = str(error)
    found = re.search(r"is damaged \((.*?)\)", text)
    return found[1] if found else text


def _first_page_lost(file: Path, remedy: str) -> RecordingDamaged:
    return RecordingDamaged(
        f"{file} is damaged: its first page is gone; save what is left with: {remedy}"
    )


def _hides_a_recording(file: Path, error: DimosRecordError) -> bool:
    """Whether there are streams in a file that SQLite takes for none of its own."""
    if not isinstance(error, NotARecording):
        return False
    try:
        with Pages.of(file) as pages:
            return bool(pages.count and find_streams(Trees(pages)))
    except DimosRecordError:
        return False

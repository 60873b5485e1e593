"""A recorder that is loaded into a running robot, and taken out of it again."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dimos.core.core import rpc

from dimos_record.bus import Selection
from dimos_record.errors import (
    DimosRecordError,
    NotRunning,
    OptionError,
    RecordingBusy,
    StorageError,
)
from dimos_record.integrations.dimos.record_module import RecordModule, RecordTask
from dimos_record.integrations.dimos.recording import check_disk
from dimos_record.integrations.dimos.running import Running
from dimos_record.record.options import RecordOptions
from dimos_record.store import open_recording
from dimos_record.store.base import SessionInfo
from dimos_record.store.paths import path_for_writing
from dimos_record.store.target import check_target

_POLL_S = 0.05


class AttachedRecorder(RecordModule):
    """The recorder that `attach` loads: all modules are to it as if they came later.

    What `build` raises does not come through dimos's coordinator to those who asked it to load a
    module, so `recording_progress` raises it.
    """

    _failure: DimosRecordError | None = None

    @rpc
    def build(self) -> None:
        """Begin to record, or remember why not."""
        try:
            _check_host(socket.gethostname(), self.config.task.host)
            super().build()
        except DimosRecordError as error:
            self._failure = error

    @rpc
    def recording_progress(self) -> dict[str, Any]:
        """Where the recording stands; see there.

        Raises:
            DimosRecordError: it cannot be recorded.
        """
        if self._failure is not None:
            raise self._failure
        return super().recording_progress() | {"host": socket.gethostname()}


def _check_host(robot: str, ours: str) -> None:
    """Paths are those of one machine.

    Raises:
        OptionError: the robot runs on another machine than we.
    """
    if robot != ours:
        raise OptionError(
            f"the robot runs on {robot}, and attach and detach are for robots of this machine "
            f"({ours}); call them there, or record from here with: dimos-record record --module"
        )


class Attached(NamedTuple):
    """What a recorder in a running robot records."""

    path: str
    topics: tuple[str, ...]
    host: str
    """Name of the machine that it runs on."""


def attach(
    robot: Running,
    recording: str | os.PathLike[str],
    *,
    modules: Iterable[str] = (),
    topics: Iterable[str] = (),
    exclude: Iterable[str] = (),
    append: bool = False,
    overwrite: bool = False,
) -> Attached:
    """Load a recorder into a running robot; it records until `detach`, or until the robot stops.

    Args:
        robot: the robot. It writes the recording, and runs on this machine.
        recording: name of the recording.
        modules: record only what these modules publish; all if there are none.
        topics: record only these topics (patterns allowed).
        exclude: do not record these topics (patterns allowed).
        append: add a session to an existing recording.
        overwrite: replace an existing recording.

    Raises:
        RecordingBusy: a recorder is attached already.
        NotRunning: a module does not run, or the robot cannot load the recorder.
        PatternError, RecordingExists, DiskFull, StorageError: it cannot be recorded.
        OptionError: nothing would be recorded, or the robot runs on another machine.
    """
    _refuse_second(robot)
    path = path_for_writing(recording).absolute()
    task = RecordTask(
        name=str(AttachedRecorder.name),
        path=str(path),
        ports=(),
        selection=Selection.of(tuple(topics) or ("*",), tuple(exclude)),
        modules=tuple(f"/{robot.module(name).name.lower()}" for name in modules),
        known=frozenset(),
        options=RecordOptions(),
        append=append,
        overwrite=overwrite,
        host=socket.gethostname(),
    )
    _check_topics(robot, task)
    check_target(path, split=False, append=append, overwrite=overwrite)
    check_disk(path, task.options)
    try:
        robot.load(AttachedRecorder.blueprint(task=task))
        recorder = attached(robot)
    except BaseException:
        if _is_loaded(robot):  # dimos leaves a module in place that could not be started
            robot.unload(AttachedRecorder.__name__)
        raise
    if recorder is None:
        raise NotRunning("the recorder was loaded, but does not run; see the robot's log")
    return recorder


def _refuse_second(robot: Running) -> None:
    try:
        recorder = attached(robot)
    except NotRunning:  # it may be recording all the same
        raise
    except DimosRecordError:  # whoever attached this one was killed before taking it out again
        robot.unload(AttachedRecorder.__name__)
        return
    if recorder is not None:
        raise RecordingBusy("a recorder is attached already; end it with: dimos-record detach")


def _check_topics(robot: Running, task: RecordTask) -> None:
    topics = {
        one.topic
        for module in robot.modules()
        if task.wants_late(module.name, "")
        for one in module.outputs
    }
    if not any(map(task.selection.matches, topics)):
        there = ", ".join(sorted(topics)) or "none"
        raise OptionError(f"nothing would be recorded: no topic is selected of {there}")


def _is_loaded(robot: Running) -> bool:
    return any(module.cls == AttachedRecorder.__name__ for module in robot.modules())


def attached(robot: Running) -> Attached | None:
    """What the attached recorder of a robot records; None if there is none."""
    for module in robot.modules():
        if module.cls == AttachedRecorder.__name__:
            progress = robot.call_module(module.name, "recording_progress")
            return Attached(progress["recording"], tuple(progress["topics"]), progress["host"])
    return None


def detach(robot: Running, timeout_s: float = 30.0) -> tuple[str, SessionInfo]:
    """Take the attached recorder out of a robot, and wait until its file is finished.

    Returns:
        The path of the recording, and its session with the account of every stream.

    Raises:
        NotRunning: no recorder is attached, or it does not answer, or was not recording.
        OptionError: the robot runs on another machine.
        StorageError: the file is not finished within `timeout_s`.
    """
    try:
        recorder = attached(robot)
    except NotRunning:
        raise
    except DimosRecordError as error:
        robot.unload(AttachedRecorder.__name__)
        raise NotRunning(
            f"the attached recorder was not recording, and has been taken out: {error}"
        ) from None
    if recorder is None:
        raise NotRunning("no recorder is attached; attach one with: dimos-record attach FILE")
    _check_host(recorder.host, socket.gethostname())
    robot.unload(AttachedRecorder.__name__)
    give_up_s = time.monotonic() + timeout_s
    while True:
        with open_recording(Path(recorder.path)) as reader:
            session = reader.sessions()[-1]
        if session.stop_ns is not None:
            return recorder.path, session
        if time.monotonic() > give_up_s:
            raise StorageError(
                f"{recorder.path} is not finished after {timeout_s:g} s; see: dimos-record info "
                f"{recorder.path}"
            )
        time.sleep(_POLL_S)

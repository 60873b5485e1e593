"""What a replay takes along into the process of the replay module."""

from __future__ import annotations

import inspect
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle

from dimos_record.errors import OptionError
from dimos_record.integrations.dimos.added import Added
from dimos_record.integrations.dimos.opened import Recording, view_of
from dimos_record.integrations.dimos.replaced import StandIn
from dimos_record.record_replay import RecordReplay
from dimos_record.replay import operators
from dimos_record.replay.operators import Operator
from dimos_record.replay.view import ReplayView

_RECORDING = "recording"
_CANNOT_PICKLE = (
    pickle.PicklingError,
    TypeError,
    AttributeError,
    ValueError,
    RuntimeError,
)
"""What objects raise that cannot be pickled."""


class PackedView:
    """A view of a recording as a path, patterns, and pickled operators: nothing is open in it.

    Raises:
        OptionError: the recording is not in a file, or an operator cannot be pickled.
        RecordingNotFound, AmbiguousName: there is no such file, or more than one.
    """

    def __init__(self, recording: Recording) -> None:
        with view_of(recording) as view:
            self.path = _path_of(view.recording)
            """Absolute path of the recording."""
            self.commands = view.options.commands
            """Patterns of the topics that are commands, if they are others than usual."""
            self._parts = (view.selection, view.start_s, view.end_s, view.options)
            self._operators = tuple(map(_pickled, view.operators))

    def open(self) -> ReplayView:
        """The view, over a `RecordReplay` of its own that the caller closes.

        Raises:
            OptionError: an operator cannot be unpickled here.
        """
        recording = RecordReplay(self.path)
        selection, start_s, end_s, options = self._parts
        functions = tuple(self._unpickled(data, recording) for data in self._operators)
        return ReplayView(recording, selection, start_s, end_s, functions, options)

    def _unpickled(self, data: bytes, recording: RecordReplay) -> Operator:
        try:
            return _Unpickler(io.BytesIO(data), recording).load()
        except (ImportError, AttributeError, pickle.UnpicklingError) as error:
            raise OptionError(
                f"a function that {self.path} is replayed through cannot be loaded in the process "
                f"of the replay module ({error}); define it where that process can import it"
            ) from error


class ReplayPort(NamedTuple):
    """An output of the replay module."""

    port: str
    """Its name in the module."""
    message: type
    """dimos's message class."""
    stream: str
    """Name of the stream, as it was when the replay was put into the blueprint."""
    channels: tuple[str, ...]
    """The recorded channels whose messages it publishes."""


class Assignment(Added):
    """What a replay module has to do. Opaque to dimos's configuration, which copies it whole."""

    def __init__(
        self,
        view: PackedView,
        name: str,
        ports: tuple[ReplayPort, ...],
        stand_ins: tuple[StandIn, ...],
        allow_commands: bool,
    ) -> None:
        self.view = view
        self.name = name
        self.ports = ports
        self.stand_ins = stand_ins
        self.allow_commands = allow_commands
        """Whether commands may be published where other machines can hear them."""


def _path_of(recording: RecordReplay) -> str:
    path = getattr(recording.store, "path", None)
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(
            f"{recording.store.name} lives in this process alone, and a module plays in another "
            "one; save the recording into a file, and replay that"
        )
    return str(Path(path).absolute())


class _Pickler(cloudpickle.Pickler):
    """Takes recordings along by their paths: what a view holds is open."""

    def persistent_id(self, obj: Any) -> tuple[str, str] | None:
        return (_RECORDING, _path_of(obj)) if isinstance(obj, RecordReplay) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, recording: RecordReplay) -> None:
        super().__init__(file)
        self._recording = recording

    def persistent_load(self, pid: tuple[str, str]) -> RecordReplay:
        same = Path(pid[1]) == Path(self._recording.store.name)
        return self._recording if same else RecordReplay(pid[1])


def _pickled(operator: Operator) -> bytes:
    buffer = io.BytesIO()
    try:
        _Pickler(buffer).dump(operator)
    except _CANNOT_PICKLE as error:
        raise OptionError(
            f"{_name_of(operator)} cannot travel to the process of the replay module ({error}); "
            "give a function that holds no open file, lock, thread or connection"
        ) from error
    return buffer.getvalue()


def _name_of(operator: Callable[..., Any]) -> str:
    """The name of the user's function, which our own operators enclose."""
    function: Any = operator
    if getattr(operator, "__module__", None) == operators.__name__:
        enclosed = inspect.getclosurevars(operator).nonlocals.values()
        function = next(filter(callable, enclosed), operator)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    code = getattr(function, "__code__", None)
    return f"{name} ({code.co_filename}, line {code.co_firstlineno})" if code else str(name)

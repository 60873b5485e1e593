"""Errors of ours that come out of dimos: from other processes, and in groups."""

from __future__ import annotations

import json
import re

from dimos.protocol.rpc.rpc_utils import RemoteError

from dimos_record import errors
from dimos_record.errors import DimosRecordError

_OURS = re.compile(re.escape(errors.__name__) + r"\.(\w+)")


def error_in(error: BaseException) -> DimosRecordError | None:
    """The error of ours that an exception is, was caused by, or has in its group."""
    if isinstance(error, DimosRecordError):
        return error
    if isinstance(error, RemoteError):
        found = _OURS.match(_original_type(error))
        return _made(found[1], error.args[0]) if found else None
    inside = [*getattr(error, "exceptions", ()), error.__cause__]
    all_inside = (error_in(one) for one in inside if one is not None)
    return next((one for one in all_inside if one is not None), None)


def _original_type(error: RemoteError) -> str:
    """The class of an error that has come through one process or more, as `module.Name`.

    Only its sentence and its traceback come through all of them.
    """
    if error.remote_type != f"{RemoteError.__module__}.{RemoteError.__name__}":
        return error.remote_type
    innermost: list[str] = re.findall(r"\[Remote (\S+)\] ", error.remote_traceback)
    return innermost[-1] if innermost else error.remote_type


def to_text(error: DimosRecordError) -> str:
    """An error as text for another process."""
    return json.dumps([type(error).__name__, str(error)])


def from_text(text: str) -> DimosRecordError:
    """The opposite of `to_text`."""
    return _made(*json.loads(text))


def _made(name: str, sentence: str) -> DimosRecordError:
    kind = getattr(errors, name, DimosRecordError)
    error: DimosRecordError = kind.__new__(kind, sentence)
    error.args = (sentence,)  # also where the class makes its sentence from other arguments
    return error

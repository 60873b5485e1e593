"""Errors of ours that come out of dimos: from other processes, and in groups."""

from __future__ import annotations

import json

from dimos.protocol.rpc.rpc_utils import RemoteError

from dimos_record import errors
from dimos_record.errors import DimosRecordError


def error_in(error: BaseException) -> DimosRecordError | None:
    """The error of ours that an exception is, was caused by, or has in its group."""
    if isinstance(error, DimosRecordError):
        return error
    if isinstance(error, RemoteError):
        module, _, name = error.remote_type.rpartition(".")
        return _made(name, error.args[0]) if module == errors.__name__ else None
    inside = [*getattr(error, "exceptions", ()), error.__cause__]
    found = (error_in(one) for one in inside if one is not None)
    return next((one for one in found if one is not None), None)


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

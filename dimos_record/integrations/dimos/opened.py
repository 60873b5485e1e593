"""What may be given as a recording to a blueprint: a path, a `RecordReplay` or a view of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dimos_record.record_replay import RecordReplay
from dimos_record.replay.view import ReplayView

Recording = RecordReplay | ReplayView | str | os.PathLike[str]


@contextmanager
def view_of(recording: Recording) -> Iterator[ReplayView]:
    """The view that a recording stands for; what is opened for a path is closed again.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, AmbiguousName, NewerSchema
    """
    if isinstance(recording, ReplayView):
        yield recording
    elif isinstance(recording, RecordReplay):
        yield recording.view()
    else:
        with RecordReplay(recording) as opened:
            yield opened.view()

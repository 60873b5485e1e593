"""A recording, or a part of it, into the viewer."""

from __future__ import annotations

from collections.abc import Callable

from dimos_record.interop.exporting import about
from dimos_record.replay.view import ReplayView
from dimos_record.viewer.logger import RecordingLogger
from dimos_record.viewer.presets import check_preset

OnProgress = Callable[[int, int], None]
"""Called with (messages read, messages in all); what it raises cancels."""

_EVERY = 100


def log_view(
    view: ReplayView, logger: RecordingLogger, preset: str, on_progress: OnProgress
) -> int:
    """Log all messages of a view, the state before it, and its markers.

    The layout is sent as soon as the first messages have shown what there is, and again whenever
    they show something else.

    Returns:
        How many messages were logged.

    Raises:
        OptionError: there is no such preset.
    """
    check_preset(preset)
    logger.markers(about(view).markers)
    if view.start_s is not None:
        start_ns = view.origin_ns() + round(view.start_s * 1e9)
        for row in view.latched_before(start_ns):
            logger.log(row._replace(ts_ns=start_ns))
    total, read, logged = view.count(), 0, 0
    for read, row in enumerate(view.rows(), 1):
        logged += logger.log(row)
        if read % _EVERY == 0:
            logger.layout(preset)
            on_progress(read, max(total, read))
    logger.layout(preset)
    on_progress(read, read)
    return logged

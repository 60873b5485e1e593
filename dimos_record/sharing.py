"""The sharing part of `RecordReplay`: what is recorded goes into the files of other tools."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from dimos_record.saving import Saveable

if TYPE_CHECKING:
    from dimos_record.interop.exporting import ExportReport, OnProgress
    from dimos_record.record_replay import RecordReplay


class Shareable(Saveable):
    """The part of `RecordReplay` that writes what other tools read."""

    def export(
        self,
        name: str | os.PathLike[str],
        format: str | None = None,
        *,
        section: tuple[float | None, float | None] = (None, None),
        topics: str | Iterable[str] = "*",
        exclude: str | Iterable[str] = (),
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> ExportReport:
        """Write the recording, as its edits leave it, into a file of another format.

        Args:
            name: the file (or folder of tables) to write.
            format: `mcap`, `lcm`, `csv`, `parquet` or `rrd`; if not given, what the name ends in.
            section: ``[a, b)`` in seconds from the start; None is no limit.
            topics: which topics (patterns allowed).
            exclude: which of these are left out.
            overwrite: replace what is there; never a recording.
            on_progress: called with (messages written, messages in all); an exception that it
                raises cancels.
            options: those of the format, as `encoding="lcm"` of MCAP.

        Returns:
            What was written, and what the format could not carry.

        Raises:
            OptionError: there is no such format or option.
            RecordingExists: there is something of that name that is not to be replaced.
            UnknownTopic: the recording has no such topic.
            EditError: there is no message in the section.
            MissingExtra: the format needs an optional package.
            StorageError, DiskFull: it cannot be written.
        """
        from dimos_record.replay.view import ReplayView

        self._finish_appending()
        self._fresh_reader()
        view = ReplayView(cast("RecordReplay", self)).select(topics, exclude).between(*section)
        return view.export(name, format, overwrite=overwrite, on_progress=on_progress, **options)

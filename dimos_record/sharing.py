"""The sharing part of `RecordReplay`: what is recorded goes into the files of other tools."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from dimos_record.errors import OptionError
from dimos_record.saving import Saveable
from dimos_record.store.files import FileStore

if TYPE_CHECKING:
    from dimos_record.interop.exporting import ExportReport, OnProgress
    from dimos_record.lfs.publish import PublishReport
    from dimos_record.plotting import Plot
    from dimos_record.record_replay import RecordReplay
    from dimos_record.replay.view import ReplayView


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
        view = self._part(section).select(topics, exclude)
        return view.export(name, format, overwrite=overwrite, on_progress=on_progress, **options)

    def publish(
        self,
        *,
        commit: bool = False,
        push: bool = False,
        message: str | None = None,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> PublishReport:
        """Pack the recording into `data/.lfs` of the git work tree that it is in, for Git LFS.

        The archive is staged, with the lines that `.gitattributes` and `.gitignore` need. The
        recording itself stays as it is. Playback is stopped.

        Args:
            commit: commit these files, too.
            push: commit, and push the branch with what it has in Git LFS.
            message: of the commit.
            overwrite: replace an archive that is there and not committed.
            on_progress: called with (bytes packed, bytes in all); an exception that it raises
                cancels.

        Raises:
            OptionError: the recording is in no file, or there is a message and no commit.
            EditError: it has edits that are not saved.
            RecordingBusy: it is being recorded into, or somebody else has it open.
            RecordingExists: another archive of that name is there and not committed.
            GitError: it is in no git work tree, there is no Git LFS, or git refuses.
            DiskFull, StorageError: the archive cannot be written.
        """
        from dimos_record.lfs.publish import publish

        self._refuse_while_recording()
        self._stop_playing()
        with self._lock:
            self._refuse_while_recording()
            self._finish_appending()
            store = self.store
            if not isinstance(store, FileStore):
                raise OptionError(
                    f"{store.name} is no file; write one with save_as(), publish that"
                )
            self._release_everything()
            return publish(
                store.path.absolute(),
                commit=commit,
                push=push,
                message=message,
                overwrite=overwrite,
                on_progress=on_progress,
            )

    def plot(
        self,
        *fields: str,
        out: str | os.PathLike[str] | None = None,
        section: tuple[float | None, float | None] = (None, None),
        stamp: bool = False,
        overwrite: bool = False,
    ) -> Plot:
        """Draw numbers over time: ``print(rec.plot("/odom.pose.pose.position.x"))``.

        Args:
            fields: topics and fields, joined by a dot.
            out: a picture to write: PNG, SVG or PDF, as the name says.
            section: ``[a, b)`` in seconds from the start; None is no limit.
            stamp: order by the times in the headers instead of those of reception.
            overwrite: replace the picture.

        Raises:
            OptionError: there is no such topic or field; the sentence names those that there are.
            EditError: there is no number in the section.
            MissingExtra, RecordingExists, StorageError: of the picture.
        """
        return self._part(section).plot(*fields, out=out, stamp=stamp, overwrite=overwrite)

    def _part(self, section: tuple[float | None, float | None]) -> ReplayView:
        """A view of a section of the recording as its edits leave it now."""
        from dimos_record.replay.view import ReplayView

        self._finish_appending()
        self._fresh_reader()
        return ReplayView(cast("RecordReplay", self)).between(*section)

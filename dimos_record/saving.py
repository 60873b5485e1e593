"""The saving part of `RecordReplay`: recordings are written as their edits leave them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from dimos_record.editing import Editable, Section
from dimos_record.errors import OptionError, RecordingBusy
from dimos_record.store.files import FileStore

if TYPE_CHECKING:
    from dimos_record.edit.progress import OnProgress
    from dimos_record.edit.writing import SaveReport


class Saveable(Editable):
    """The part of `RecordReplay` that writes recordings anew, from this one or from others.

    Payloads are copied as they are stored, never decoded. A function given as `on_progress` gets
    (bytes done, bytes in all), estimated, many times a second; what it raises cancels, and then
    nothing is changed and nothing left behind.
    """

    def save(self, *, on_progress: OnProgress | None = None) -> SaveReport:
        """Write the recording as its edits leave it, in the place of what was recorded.

        What was cut is gone then, and its room given back; what stays is the same byte for byte,
        numbered anew. Whatever happens meanwhile, the file is as before or as after. Playback is
        stopped.

        Raises:
            EditError: nothing was edited.
            RecordingBusy: it is being recorded into, or another program has it open.
            DiskFull: there is no room for the new file beside the old one.
            OptionError: the recording lives in memory.
            StorageError, CodecError, MissingExtra
        """
        from dimos_record.edit.save import save

        self._refuse_while_recording()
        if self._fresh_reader().edited:
            self._stop_playing()
        with self._lock:
            self._refuse_while_recording()
            self._finish_appending()
            reader = self._fresh_reader()
            return save(reader, self._release_everything, on_progress)

    def _release_everything(self) -> None:
        """Let go of the file, with the lock held; a player that has begun meanwhile is refused."""
        if self._is_played():
            raise RecordingBusy(f"{self.store.name} is being played; stop_playback() first")
        self._close_reader()

    def _stop_playing(self) -> None:
        """Stop the player, which reads the file; not with the lock held, for which it may wait."""

    def save_as(
        self,
        name: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> SaveReport:
        """Write the recording as its edits leave it into a new file; this one stays as it is.

        Args:
            name: of the new file.
            overwrite: replace another recording, which nobody has open.
            on_progress: see `Saveable`.

        Raises:
            OptionError: the name is that of this recording.
            RecordingExists: there is something of that name.
            RecordingBusy: it is to be replaced and in use.
            DiskFull, StorageError, CodecError, MissingExtra
        """
        from dimos_record.edit.derive import save_as

        self._finish_appending()
        reader = self._fresh_reader()
        return save_as(reader, name, overwrite=overwrite, on_progress=on_progress)

    def extract(
        self,
        section: Section,
        name: str | os.PathLike[str],
        *,
        topics: str | Iterable[str] = "*",
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> SaveReport:
        """Write the section ``[a, b)`` into a new file; this recording stays as it is.

        What latched topics said before the section is taken along as far as it needs that, and
        positions stay what they are.

        Args:
            section: in seconds from the start of the recording; None is the start or the end.
            name: of the new file.
            topics: which topics (patterns allowed).
            overwrite: replace another recording, which nobody has open.
            on_progress: see `Saveable`.

        Raises:
            EditError: there is nothing in the section.
            UnknownTopic: there is no such topic.
            Others: see `save_as`.
        """
        from dimos_record.edit.derive import extract

        self._finish_appending()
        ends = self._section(section)
        return extract(
            self._fresh_reader(),
            (ends["a"], ends["b"]),
            name,
            streams=self._chosen(topics)["streams"],
            overwrite=overwrite,
            on_progress=on_progress,
        )

    def keep(
        self,
        name: str | os.PathLike[str] | None = None,
        *,
        last_s: float | None = None,
        section: Section = (None, None),
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> SaveReport:
        """Write the past into a new file, also while this is being recorded, here or elsewhere.

        Every message that was received until now is in it, also what is not written yet, and
        nothing later. What latched topics said before is taken along. The new file begins at
        position 0. A ring that deletes its oldest parts meanwhile takes nothing away.

        Args:
            name: of the new file; NAME-DATE-TIME.db beside this recording, if it is not given.
            last_s: how many seconds up to now, or up to the last message where nobody records.
            section: the section ``[a, b)`` instead of that; see `extract`.
            overwrite: replace another recording, which nobody has open.
            on_progress: see `Saveable`.

        Raises:
            EditError: there is no message in that time.
            OptionError: both a time and a section, or the recording lives in memory.
            Others: see `save_as`.
        """
        from dimos_record.edit.keep import keep

        if last_s is not None and section != (None, None):
            raise OptionError("last_s and section contradict each other; give one of them")
        self._finish_appending()
        store = self.store
        if not isinstance(store, FileStore):
            raise OptionError(f"{store.name} is no file; write it into one with save_as()")
        ends = self._section(section) if section != (None, None) else {"a": None, "b": None}
        return keep(
            store.path,
            last_s=last_s,
            section_ns=(ends["a"], ends["b"]),
            name=name,
            overwrite=overwrite,
            on_progress=on_progress,
        )

    def split(
        self,
        at: Sequence[float],
        names: Sequence[str | os.PathLike[str]] | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> list[SaveReport]:
        """Write several new files, all or none; this recording stays as it is.

        Args:
            at: positions at which the second and every following file begins, in seconds.
            names: one more than positions; if not given, NAME-1.db, NAME-2.db ... beside this one.
            on_progress: see `Saveable`.

        Raises:
            OptionError: the positions do not ascend, or there are too few or too many names.
            EditError: one of the files would have no message.
            RecordingExists: one of the names is taken.
            Others: see `save_as`.
        """
        from dimos_record.edit.derive import split

        self._finish_appending()
        reader = self._fresh_reader()
        return split(reader, [self._ns(one) for one in at], names, on_progress=on_progress)

    def merge(
        self,
        sources: Iterable[str | os.PathLike[str]],
        align: Literal["time", "start", "end to end"] = "time",
        *,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> SaveReport:
        """Write this recording from several others, which stay as they are.

        Messages of the same channel become one stream in the order of time.

        Args:
            sources: the recordings, as their edits leave them.
            align: `time`: when they were received. `start`: all begin where the first one begins.
                `end to end`: each begins where the one before it ends.
            overwrite: replace this recording, which nobody has open.
            on_progress: see `Saveable`.

        Raises:
            OptionError: there are fewer than two, the same one twice, or no such alignment.
            RecordingExists: this recording is there already.
            RecordingBusy: it is being recorded into, or it is to be replaced and in use.
            RecordingNotFound, NotARecording, DiskFull, StorageError, CodecError, MissingExtra
        """
        from dimos_record.edit.merge import merge

        self._refuse_while_recording()
        self._stop_playing()
        with self._lock:
            self._refuse_while_recording()
            self._finish_appending()
            self._release_everything()
            store = self._store_for_writing(append=False)
            if not isinstance(store, FileStore):
                raise OptionError(f"{store.name} is no file; merge into a RecordReplay of a file")
            if isinstance(sources, (str, os.PathLike)):
                sources = [sources]
            return merge(
                list(sources),
                store.path,
                align,
                overwrite=overwrite,
                on_progress=on_progress,
            )

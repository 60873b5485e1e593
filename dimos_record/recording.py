"""The recording half of `RecordReplay`: topics, sessions, and writing from code."""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from dimos_record.bus import Bus, Selection, join_channel
from dimos_record.bus.base import literal, several
from dimos_record.errors import MissingExtra, RecordingBusy, UnknownTopic
from dimos_record.handle import RecordingHandle
from dimos_record.messages import is_latched
from dimos_record.record.options import RecordOptions, parse_ring
from dimos_record.record.origin import Origin
from dimos_record.record.progress import Progress
from dimos_record.record.session import RecordingSession
from dimos_record.store.appender import StreamAppender
from dimos_record.store.base import StreamAccount, StreamInfo, add_accounts
from dimos_record.store.codecs import check_choosable
from dimos_record.store.names import stream_name
from dimos_record.store.stores import Store
from dimos_record.store.summary import total_accounts
from dimos_record.store.target import Target
from dimos_record.store.writer import RecordingWriter

Kind = TypeVar("Kind", bound="Recordable")


class Recordable(RecordingHandle):
    """The part of `RecordReplay` that records, and writes otherwise."""

    def __init__(
        self,
        name: str | os.PathLike[str] | None,
        store: Store | None,
        bus: Bus | str | None,
    ) -> None:
        super().__init__(name, store, bus)
        self._include: tuple[str, ...] | None = None
        self._exclude: tuple[str, ...] = ()
        self._session: RecordingSession | None = None
        self._switching = threading.RLock()  # held while a session begins or ends
        self._ended: Progress | None = None
        self._origin = Origin()
        self._following = ExitStack()
        """Running blueprints whose later modules are recorded, too."""
        self._appending: Target | None = None

    # --- topics

    def add_topic(self, *topics: str) -> None:
        """Record these topics (patterns allowed); while recording, these too.

        Raises:
            PatternError: a pattern cannot be read.
        """
        Selection.of(topics)
        with self._lock:
            chosen = self._include
            if chosen is None:
                chosen = ("*",) if self._session is not None else ()
            self._include = (*chosen, *(topic for topic in topics if topic not in chosen))
            self._exclude = tuple(topic for topic in self._exclude if topic not in topics)
        self._reselect()

    def remove_topic(self, *topics: str) -> None:
        """Do not record these topics (patterns allowed), also while recording.

        Recorded data stays.

        Raises:
            PatternError: a pattern cannot be read.
        """
        Selection.of(topics)
        with self._lock:
            if self._include is not None:
                self._include = tuple(topic for topic in self._include if topic not in topics)
            self._exclude += tuple(topic for topic in topics if topic not in self._exclude)
        self._reselect()

    def add_module(self, module: Any) -> None:
        """Record what a dimos module publishes, under the names that its class gives.

        Args:
            module: its class, a blueprint or an atom of a blueprint with it, or the deployed
                module. Choose the modules of a whole blueprint with `record_blueprint`.

        Raises:
            MissingExtra: dimos is not installed.
            OptionError: it publishes nothing, or on another bus than this object records from.
        """
        self._record_offers(_dimos_recording().offered_by(module).values())

    def remove_module(self, module: Any) -> None:
        """Do not record what a dimos module publishes, also while recording.

        Raises:
            MissingExtra: dimos is not installed.
            OptionError: it publishes nothing.
        """
        self.remove_topic(*map(literal, _dimos_recording().offered_by(module)))

    def record_blueprint(self, blueprint: Any, *, everything: bool = False) -> None:
        """Record what the modules of a dimos blueprint publish.

        Of a `Blueprint`, the modules that `default_record_modules` names, all if there are none:
        call this and `start_recording` before the blueprint is built, and the first messages are in
        the recording. Of a running `ModuleCoordinator`, which does not know that choice any more,
        every stream, and those of modules that it loads until the recording is stopped.

        Args:
            blueprint: a `Blueprint`, or a `ModuleCoordinator`.
            everything: all modules of the blueprint, whatever it names.

        Raises:
            MissingExtra: dimos is not installed.
            PlanError: nothing is published.
            OptionError: something is published on another bus than this object records from.
        """
        recording = _dimos_recording()
        if hasattr(blueprint, "observe_transports"):
            followed = recording.following(blueprint, lambda offer: self._record_offers([offer]))
            self._following.enter_context(followed)
        else:
            offers = recording.offered_by_blueprint(blueprint, everything)
            self._record_offers(offers.values())
        self._origin.meta.update(recording.meta_of(blueprint))

    def _record_offers(self, offers: Iterable[Any]) -> None:
        """Record streams of dimos modules (see `integrations.dimos.offers`)."""
        found = {offer.channel: offer.source for offer in offers}
        for source in found.values():
            self._use_bus(source.bus)
        self._origin.sources.update(found)
        self.add_topic(*map(literal, found))

    def _reselect(self) -> None:
        session = self._session
        while session is not None and session.selection != (wanted := self.selection):
            session.select(wanted)  # once more, if another thread has chosen meanwhile

    @property
    def selection(self) -> Selection:
        """The topics to record; all of them, if none was ever added."""
        return Selection.of(("*",) if self._include is None else self._include, self._exclude)

    # --- sessions

    def start_recording(
        self,
        *,
        append: bool = False,
        overwrite: bool = False,
        ring: str | float | Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        """Begin a session; returns once the subscription stands.

        Args:
            append: add a session to an existing recording.
            overwrite: replace an existing recording.
            ring: record into a folder of which the oldest parts are deleted, so that these last
                seconds are there: `"30m"`, 1800, or a size: `"20GB"`; or both in a list. A ring
                that is there is gone on with.
            options: the fields of `RecordOptions`.

        Raises:
            RecordingExists: there is a recording, and neither `append` nor `overwrite` is set; or
                it is no ring.
            RecordingBusy: it is being recorded into already, or it is to be replaced and is played.
            BusError, DiskFull, OptionError: nothing was changed.
        """
        if ring is not None:
            options |= parse_ring(ring)
        chosen = RecordOptions(**options)
        with self._switching:
            with self._lock:
                self._refuse_while_recording()
                if overwrite and self._is_played():
                    raise RecordingBusy(f"{self.store.name} is being played; stop_playback() first")
                bus, selection = self.bus, self.selection
                self._finish_appending()
                if overwrite:
                    self._close_reader()
                self._release_reader()
                store = self._store_for_writing(append=append)
                ring_only = {"ring": True} if chosen.is_ring else {}  # not every store has rings
                target = store.target(
                    split=chosen.is_split, append=append, overwrite=overwrite, **ring_only
                )
                self._session = session = RecordingSession(
                    bus, target, selection, chosen, self._origin
                )
            try:
                session.start()
            except BaseException:
                self._session = None
                raise

    def stop_recording(self) -> Progress | None:
        """End the session and finish the file; None if nothing is being recorded.

        A file that is being played meanwhile stays usable, but is not self-contained.

        Raises:
            MessagesLost: `strict` was asked for and something was lost.
            DimosRecordError: writing failed; what was written before is safe.
        """
        with self._switching:
            self._following.close()
            with self._lock:
                session = self._session
                if session is not None and session.writer.is_inherited:
                    self._session = None  # a forked child: its parent records on
                    return None
                if session is None:
                    return None
                self._release_reader()
            try:
                return session.stop()
            finally:
                with self._lock:
                    self._ended = session.progress()
                    self._session = None

    @contextmanager
    def recording(self: Kind, **options: Any) -> Iterator[Kind]:
        """Record for the length of a ``with`` block; options as for `start_recording`."""
        self.start_recording(**options)
        try:
            yield self
        finally:
            self.stop_recording()

    def wait_recording(self, timeout_s: float | None = None) -> bool:
        """Wait until a session has ended by itself: a limit, a full disk, an error."""
        session = self._session
        return session is None or session.wait(timeout_s)

    def pause_recording(self) -> None:
        """Record nothing until `resume_recording`; the session goes on."""
        session = self._session
        if session is not None:
            session.pause()

    def resume_recording(self) -> None:
        """Go on recording."""
        session = self._session
        if session is not None:
            session.resume()

    @property
    def progress(self) -> Progress | None:
        """Where the running session stands, or how the last one ended; None before the first."""
        session = self._session
        return session.progress() if session is not None else self._ended

    @property
    def account(self) -> dict[str, StreamAccount]:
        """Per stream what was received, written and dropped, over all sessions."""
        sessions, running = self.reader.sessions(), self._session
        if running is None:
            return total_accounts(sessions)
        earlier = [session for session in sessions if session.state != "recording"]
        return add_accounts(total_accounts(earlier), running.progress().accounts)

    def _refuse_while_recording(self) -> None:
        if self._session is not None:
            raise RecordingBusy(f"{self.store.name} is being recorded into; stop_recording() first")

    def _is_played(self) -> bool:
        """Whether a player reads the recording now."""
        return False

    def _release_reader(self) -> None:
        """Let go of the file, since one that is open cannot become self-contained.

        Queries go on afterwards where they were.
        """
        with self._lock:
            if self._reader is not None and not self._is_played():
                self._reader.release()

    # --- writing from code

    def stream(
        self,
        name: str,
        *,
        topic: str | None = None,
        type_name: str | None = None,
        codec: str = "lcm",
        latched: bool | None = None,
    ) -> StreamAppender:
        """A stream to write into from code; recording and stream are created where there is none.

        Args:
            name: name of the stream.
            topic: its topic; `/NAME`, if it is not given.
            type_name: type of its messages; raw bytes, if it is not given and the stream is new.
            codec: how to store them in a new stream.
            latched: whether a message stays valid until the next; decided by topic and type.

        Raises:
            OptionError: the codec cannot be chosen.
        """
        check_choosable(codec)
        writer = self._writer()
        info = self._matching(topic or name, type_name)
        if info is None:
            wanted = topic or "/" + name.lstrip("/")
            info = StreamInfo(
                name=stream_name(name, ()),
                topic=wanted,
                channel=join_channel(wanted, type_name),
                type_name=type_name,
                codec=codec,
                latched=is_latched(wanted, type_name) if latched is None else latched,
            )
        return StreamAppender(self._writer, writer.declare(info), self._now_ns)

    def _now_ns(self) -> int:
        session = self._session
        return time.time_ns() if session is None else session.now_ns()

    def _matching(self, name: str, type_name: str | None) -> StreamInfo | None:
        """The stream of a name or topic that is there already, unless it has another type."""
        try:
            info = self.reader.find(name)
        except UnknownTopic:
            return None
        return info if type_name in (None, info.type_name) else None

    def _writer(self) -> RecordingWriter:
        """The writer of the running session, else one that is open until the next or `close`."""
        session = self._session
        if session is not None and session.finishing:
            self.stop_recording()  # it has reached a limit, or is being stopped already
        with self._lock:
            if self._session is not None:
                writer = self._session.writer
            else:
                if self._appending is None:
                    self._appending = self._store_for_writing(append=True).target(append=True)
                writer = self._appending.writer
        writer.refuse_if_inherited()
        return writer

    def _finish_appending(self) -> None:
        with self._lock:
            if self._appending is not None:
                self._release_reader()
                self._appending.writer.close()
                self._appending = None

    def fill_poses(
        self,
        source: str | None = None,
        *,
        topics: str | Iterable[str] = "*",
        frame: str = "base_link",
        root: str | None = None,
        tolerance_s: float = 0.5,
    ) -> dict[str, int]:
        """Give recorded messages the pose at which they were observed, so that `near` finds them.

        Args:
            source: an odometry, pose or tf topic; chosen, if it is not given.
            topics: which topics to fill in (patterns allowed).
            frame: with tf, the frame whose pose is meant ...
            root: ... and the frame it is given in; the root of the tree, if it is not given.
            tolerance_s: a message further than this from any known pose gets none.

        Returns:
            How many messages of each topic got a pose.

        Raises:
            OptionError: the source has no poses.
            UnknownTopic: there is no such source.
            RecordingBusy: it is being recorded into.
        """
        from dimos_record.store.fill_poses import fill_poses

        with self._lock:
            self._refuse_while_recording()
            self._finish_appending()
            self._release_reader()
            chosen = Selection.of(several(topics))
            return fill_poses(self.store, source, chosen.matches, frame, root, tolerance_s)


def _dimos_recording() -> Any:
    """What knows dimos's modules.

    Raises:
        MissingExtra: dimos is not installed.
    """
    if importlib.util.find_spec("dimos") is None:
        raise MissingExtra("recording by module instead of by topic", "dimos")
    return importlib.import_module("dimos_record.integrations.dimos.recording")

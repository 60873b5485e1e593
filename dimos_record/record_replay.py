"""`RecordReplay`: record topics into a file, look at it, and play it back. The one object to know.

rec = RecordReplay("walk.db")
rec.add_topic("/odom")
with rec.recording():
    ...
rec.play(speed=2.0, block=True)
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dimos_record.bus import Bus, Selection, join_channel
from dimos_record.errors import OptionError, RecordingBusy
from dimos_record.handle import RecordingHandle
from dimos_record.messages import is_latched
from dimos_record.record.options import RecordOptions
from dimos_record.record.session import Progress, RecordingSession
from dimos_record.replay.operators import Operator
from dimos_record.replay.player import Player
from dimos_record.replay.view import ReplayView
from dimos_record.store.appender import StreamAppender
from dimos_record.store.base import StreamAccount, StreamInfo
from dimos_record.store.codecs import check_choosable
from dimos_record.store.names import stream_name
from dimos_record.store.observation import Observation
from dimos_record.store.stores import Store
from dimos_record.store.summary import total_accounts
from dimos_record.store.target import Target


class RecordReplay(RecordingHandle):
    """Records topics of a bus into a recording, and plays a recording onto a bus.

    Nothing is opened before it is needed. Close it, or use it as a context manager.

    Args:
        name: file name of the recording, or a folder of segments. A path with a folder in it is
            taken as it stands; a bare name means the project's data folder where there is one,
            else the current folder.
        store: where the recording lives, instead of a name: a `MemoryStore`, for example.
        bus: a bus, or the URL of one; the default is ``LCM_DEFAULT_URL``, else LCM on this machine.

    Raises:
        OptionError: neither a name nor a store is given, or both.
    """

    def __init__(
        self,
        name: str | os.PathLike[str] | None = None,
        *,
        store: Store | None = None,
        bus: Bus | str | None = None,
    ) -> None:
        super().__init__(name, store, bus)
        self._include: tuple[str, ...] = ()
        self._exclude: tuple[str, ...] = ()
        self._session: RecordingSession | None = None
        self._ended: Progress | None = None
        self._appending: Target | None = None
        self._player: Player | None = None
        self._position_s = 0.0

    def close(self) -> None:
        """Stop recording and playing, and release every file, thread and socket."""
        self.stop_playback()
        try:
            self.stop_recording()
        finally:
            self._finish_appending()
            self._close_reader()
            self._close_bus()

    def __enter__(self) -> RecordReplay:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- recording

    def add_topic(self, *topics: str) -> None:
        """Record these topics too (patterns allowed), also while recording.

        Raises:
            PatternError: a pattern cannot be read.
        """
        Selection.of(topics)
        self._include += tuple(topic for topic in topics if topic not in self._include)
        self._exclude = tuple(topic for topic in self._exclude if topic not in topics)
        self._reselect()

    def remove_topic(self, *topics: str) -> None:
        """Do not record these topics (patterns allowed), also while recording.

        Recorded data stays.

        Raises:
            PatternError: a pattern cannot be read.
        """
        Selection.of(topics)
        self._include = tuple(topic for topic in self._include if topic not in topics)
        self._exclude += tuple(topic for topic in topics if topic not in self._exclude)
        self._reselect()

    def _reselect(self) -> None:
        if self._session is not None:
            self._session.select(self.selection)

    @property
    def selection(self) -> Selection:
        """The topics to record; all of them, if none was added."""
        return Selection.of(self._include or ("*",), self._exclude)

    def start_recording(
        self, *, append: bool = False, overwrite: bool = False, **options: Any
    ) -> None:
        """Begin a session; returns once the subscription stands.

        Args:
            append: add a session to an existing recording.
            overwrite: replace an existing recording.
            options: the fields of `RecordOptions`.

        Raises:
            RecordingExists: there is a recording, and neither `append` nor `overwrite` is set.
            RecordingBusy: it is being recorded into already.
            BusError, DiskFull, OptionError: nothing was changed.
        """
        chosen = RecordOptions(**options)
        with self._lock:
            if self._session is not None:
                raise RecordingBusy(f"{self.store.name} is being recorded into; stop that first")
            bus, selection = self.bus, self.selection
            self._finish_appending()
            self._close_reader()
            split = chosen.split_s is not None or chosen.split_bytes is not None
            target = self._store_for_writing().target(
                split=split, append=append, overwrite=overwrite
            )
            self._session = RecordingSession(bus, target, selection, chosen)
            try:
                self._session.start()
            except BaseException:
                self._session = None
                raise

    def stop_recording(self) -> Progress | None:
        """End the session and finish the file; None if nothing is being recorded.

        Raises:
            MessagesLost: `strict` was asked for and something was lost.
        """
        with self._lock:
            session = self._session
            if session is None:
                return None
            self._close_reader()  # a file that is open elsewhere cannot become self-contained
            try:
                return session.stop()
            finally:
                self._ended = session.progress()
                self._session = None

    @contextmanager
    def recording(self, **options: Any) -> Iterator[RecordReplay]:
        """Record for the length of a ``with`` block; options as for `start_recording`."""
        self.start_recording(**options)
        try:
            yield self
        finally:
            self.stop_recording()

    def wait_recording(self, timeout_s: float | None = None) -> bool:
        """Wait until a session has ended by itself: a limit, a full disk, an error."""
        return self._session is None or self._session.wait(timeout_s)

    def pause_recording(self) -> None:
        """Record nothing until `resume_recording`; the session goes on."""
        if self._session is not None:
            self._session.pause()

    def resume_recording(self) -> None:
        """Go on recording."""
        if self._session is not None:
            self._session.resume()

    @property
    def progress(self) -> Progress | None:
        """Where the running session stands, or how the last one ended; None before the first."""
        return self._session.progress() if self._session is not None else self._ended

    def stream(
        self,
        name: str,
        *,
        topic: str | None = None,
        type_name: str | None = None,
        codec: str = "lcm",
        latched: bool | None = None,
    ) -> StreamAppender:
        """A stream to write into from code; the recording is created where there is none.

        Args:
            name: name of the stream.
            topic: its topic; `/NAME`, if it is not given.
            type_name: type of its messages; raw bytes, if it is not given.
            codec: how to store them.
            latched: whether a message stays valid until the next; decided by topic and type.
        """
        wanted = topic or f"/{name}"
        info = StreamInfo(
            name=name if topic or name == stream_name(name, ()) else stream_name(name, ()),
            topic=wanted,
            channel=join_channel(wanted, type_name),
            type_name=type_name,
            codec=check_choosable(codec),
            latched=is_latched(wanted, type_name) if latched is None else latched,
        )
        with self._lock:
            if self._session is not None:
                writer = self._session.writer
            else:
                if self._appending is None:
                    self._appending = self._store_for_writing().target(append=True)
                writer = self._appending.writer
            return StreamAppender(writer, writer.declare(info))

    def _finish_appending(self) -> None:
        if self._appending is not None:
            self._close_reader()
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
            OptionError: there is no such source, or it has no poses.
        """
        from dimos_record.store.fill_poses import fill_poses

        with self._lock:
            if self._session is not None:
                raise RecordingBusy(f"{self.store.name} is being recorded into; stop that first")
            self._finish_appending()
            names = (topics,) if isinstance(topics, str) else tuple(topics)
            filled = fill_poses(
                self.store, source, Selection.of(names).matches, frame, root, tolerance_s
            )
            self._close_reader()
            return filled

    @property
    def account(self) -> dict[str, StreamAccount]:
        """Per stream what was received, written and dropped, over all sessions."""
        if self._session is not None:
            return self._session.progress().accounts
        return total_accounts(self.reader.sessions())

    # --- playing

    def view(self) -> ReplayView:
        """The whole recording, or what follows the playhead, as a view to build upon."""
        return ReplayView(self, start_s=self._position_s or None)

    def play(self, speed: float = 1.0, *, block: bool = False, **options: Any) -> Player:
        """Play the recording on the bus, from the playhead on, and return the player at once.

        Args:
            speed: recorded seconds per second; `math.inf` is as fast as possible.
            block: return only when playback has ended.
            options: the fields of `PlayOptions`, and `topics` and `exclude` (patterns).

        Raises:
            RecordingNotFound, NotARecording, OptionError, UnknownTopic
            PublisherConflict: somebody is publishing one of the topics right now.
        """
        topics, exclude = options.pop("topics", "*"), options.pop("exclude", ())
        options.setdefault("start_s", self._position_s or None)
        view = ReplayView(self).select(topics, exclude)
        return self.play_view(view, speed, block=block, **options)

    def play_view(
        self, view: ReplayView, speed: float | None = None, *, block: bool = False, **options: Any
    ) -> Player:
        """Play a view of this recording; see `play`."""
        if speed is not None:
            options["speed"] = speed
        if view.start_s is not None:
            options.setdefault("start_s", view.start_s)
        if view.end_s is not None:
            options.setdefault("end_s", view.end_s)
        self.stop_playback()
        player = Player(view, self.bus, dataclasses.replace(view.options, **options))
        with self._lock:
            self._player = player
        try:
            player.start()
            if block:
                player.wait()
        except BaseException:
            self.stop_playback()
            raise
        return player

    @property
    def player(self) -> Player | None:
        """The player that plays now, or played last."""
        return self._player

    def _playing(self) -> Player:
        if self._player is None:
            raise OptionError("nothing is being played; call play() first")
        return self._player

    def pause(self) -> None:
        """Pause playback."""
        self._playing().pause()

    def resume(self) -> None:
        """Go on playing."""
        self._playing().resume()

    def seek(self, seconds: float) -> RecordReplay:
        """Move the playhead, while playing or before, and return this object for a chain."""
        if not seconds >= 0:
            raise OptionError(f"seek({seconds}) makes no sense; use 0 or more, in seconds")
        if self._player is not None:
            self._player.seek(seconds)
        self._position_s = float(seconds)
        return self

    def get_seek(self) -> float:
        """Where the playhead is, in seconds from the start of the recording."""
        return self._position_s if self._player is None else self._player.position

    def play_next(self, n: int = 1) -> int:
        """Publish the next `n` messages and stay paused; returns how many there were."""
        return self._playing().play_next(n)

    def play_previous(self, n: int = 1) -> int:
        """Publish the `n` messages before the playhead, backwards; returns how many there were."""
        return self._playing().play_previous(n)

    def loop(self, a: float | None, b: float | None = None) -> None:
        """Play ``[a, b)`` over and over; `loop(None)` ends that."""
        self._playing().loop(a, b)

    def stop_playback(self) -> None:
        """Stop playing; the playhead stays where it was."""
        with self._lock:
            player, self._player = self._player, None
        if player is not None:
            ended = player.state == "finished"
            self._position_s = 0.0 if ended else player.position
            player.close()

    # --- views

    def select(self, topics: str | Iterable[str], exclude: str | Iterable[str] = ()) -> ReplayView:
        """A view of these topics only; see `ReplayView`."""
        return self.view().select(topics, exclude)

    def between(self, a: float | None, b: float | None) -> ReplayView:
        """A view of the section ``[a, b)``, in seconds."""
        return ReplayView(self).between(a, b)

    def near(self, pose: Any, radius: float) -> ReplayView:
        """A view of what was observed within `radius` metres of a place."""
        return self.view().near(pose, radius)

    def tags(self, **tags: Any) -> ReplayView:
        """A view of the messages with these tags."""
        return self.view().tags(**tags)

    def every(self, n: int, topics: str | Iterable[str] = "*") -> ReplayView:
        """A view of every `n`-th message of each stream."""
        return self.view().every(n, topics)

    def throttle(self, rate_hz: float, topics: str | Iterable[str] = "*") -> ReplayView:
        """A view of at most so many messages per recorded second of each stream."""
        return self.view().throttle(rate_hz, topics)

    def map(self, fn: Callable[[Observation], Observation | None]) -> ReplayView:
        """A view in which a function replaces each observation, or drops it with None."""
        return self.view().map(fn)

    def filter(self, predicate: Callable[[Observation], bool]) -> ReplayView:
        """A view of the observations for which a function says yes."""
        return self.view().filter(predicate)

    def transform(self, fn: Operator) -> ReplayView:
        """A view of what a function makes of the whole sequence."""
        return self.view().transform(fn)

    def remap(self, topics: Mapping[str, str]) -> ReplayView:
        """A view that is played under other topic names."""
        return self.view().remap(topics)

    def at_speed(self, rate: float) -> ReplayView:
        """A view that is played at another rate."""
        return self.view().at_speed(rate)

    def looped(self, a: float | None = None, b: float | None = None) -> ReplayView:
        """A view that is played over and over."""
        return self.view().looped(a, b)

    def restamped(self) -> ReplayView:
        """A view that is played with header stamps shifted to now."""
        return self.view().restamped()

"""`RecordReplay`: record topics into a file, look at it, and play it back. The one object to know.

rec = RecordReplay("walk.db")
rec.add_topic("/odom")
with rec.recording():
    ...
rec.play(speed=2.0, block=True)
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from dimos_record.bus import Bus
from dimos_record.errors import OptionError
from dimos_record.replay.operators import Operator
from dimos_record.replay.player import Player
from dimos_record.replay.view import ReplayView
from dimos_record.sharing import Shareable
from dimos_record.store.observation import Observation
from dimos_record.store.stores import Store


class RecordReplay(Shareable):
    """Records topics of a bus into a recording, edits it, and plays it onto a bus.

    Nothing is opened before it is needed. Close it, or use it as a context manager.

    Args:
        name: file name of the recording, or a folder of segments. A path with a folder in it is
            taken as it stands; a bare name means the project's data folder where there is one,
            else the current folder.
        store: where the recording lives, instead of a name: a `MemoryStore`, for example, or a
            store of dimos's.
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
        self._player: Player | None = None
        self._position_s = 0.0
        """The playhead, while there is no player to ask."""
        self._sought_s = 0.0
        """Where `seek` has put it, which is where views begin."""

    def close(self) -> None:
        """Stop recording and playing, and release every file, thread and socket.

        Used again, it opens again what it needs.

        Raises:
            DimosRecordError: what went wrong while playing or recording; all is released then, too.
        """
        with ExitStack() as last_first:
            last_first.callback(self._close_bus)
            last_first.callback(self._close_reader)
            last_first.callback(self._finish_appending)
            last_first.callback(self.stop_recording)
            last_first.callback(self.stop_playback)

    def __enter__(self) -> RecordReplay:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- playing

    def view(self) -> ReplayView:
        """The whole recording, or what follows the position of the last `seek`, to build upon."""
        if self._reader is not None:
            self._reader.refresh()
        return ReplayView(self, start_s=self._sought_s or None)

    def play(self, speed: float = 1.0, *, block: bool = False, **options: Any) -> Player:
        """Play the recording on the bus, from the playhead on, and return the player at once.

        What this process records from that bus meanwhile lacks the topics that are played, until
        playback is stopped.

        Args:
            speed: recorded seconds per second; `math.inf` is as fast as possible.
            block: return only when playback has ended.
            options: the fields of `PlayOptions`, and `topics` and `exclude` (patterns).

        Raises:
            RecordingNotFound, NotARecording, OptionError, UnknownTopic
            CommandsRefused: commands would reach beyond this machine.
            PublisherConflict: somebody is publishing one of the topics right now.
        """
        topics, exclude = options.pop("topics", "*"), options.pop("exclude", ())
        position_s = self._next_start_s()
        options.setdefault("start_s", position_s or None)
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
        chosen = dataclasses.replace(view.options, **options)
        player = Player(view, self.bus, chosen)
        self._position_s = self._next_start_s()
        try:
            self._change_players(player)
            player.start()
            if block:
                player.wait()
        except BaseException:
            with self._lock:
                if self._player is player:
                    self._player = None
            player.close()
            raise
        return player

    def _change_players(self, player: Player | None) -> None:
        """Stop the player there is, and use another: of two threads that do, one stops the other's.

        Raises:
            Exception: what went wrong while the one there was played.
        """
        with self._lock:
            before, self._player = self._player, player
        if before is not None:
            before.stop()

    def _is_played(self) -> bool:
        player = self._player
        return player is not None and player.state in ("playing", "paused")

    def _stop_playing(self) -> None:
        self.stop_playback()

    def _obey_edits(self) -> None:
        player = self._player
        if player is None:
            if self._position_s > self.extent[1]:  # what it was in was cut off
                self._position_s = self._sought_s = 0.0
        elif not player.closed:
            player.refresh()

    def _next_start_s(self) -> float:
        """Where playback goes on: at the playhead, or at the start when the end was reached."""
        player = self._player
        if player is None:
            return self._position_s
        return 0.0 if player.state == "finished" else player.position

    @property
    def player(self) -> Player | None:
        """The player that plays now, or played last."""
        return self._player

    def _playing(self) -> Player:
        player = self._player
        if player is None:
            raise OptionError("nothing is being played; call play() first")
        return player

    def pause(self) -> None:
        """Pause playback."""
        self._playing().pause()

    def resume(self) -> None:
        """Go on playing."""
        self._playing().resume()

    def seek(self, seconds: float) -> RecordReplay:
        """Move the playhead, while playing or before, and return this object for a chain.

        What a shift has moved to before the start of the recording is at positions below 0.

        Raises:
            OptionError: the position is no number.
            Exception: what went wrong while playing, unless it has been raised already.
        """
        if not math.isfinite(seconds):
            raise OptionError(f"seek({seconds}) makes no sense; give seconds")
        player = self._player
        if player is not None and player.closed:
            self.stop_playback()
        elif player is not None:
            player.seek(seconds)
        self._position_s = self._sought_s = float(seconds)
        return self

    def get_seek(self) -> float:
        """Where the playhead is, in seconds from the start of the recording."""
        player = self._player
        return self._position_s if player is None else player.position

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
        """Stop playing; the playhead stays where it was.

        Raises:
            Exception: what went wrong while playing, unless `Player.wait` has raised it already.
        """
        self._position_s = self._next_start_s()
        self._change_players(None)

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

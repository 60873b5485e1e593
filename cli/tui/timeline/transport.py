"""What the transport's keys do to a recording, without any screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dimos_record.bus import default_url
from dimos_record.bus.base import literal
from dimos_record.cli.times import clock
from dimos_record.cli.tui.timeline.steps import next_message
from dimos_record.cli.tui.timeline.window import S
from dimos_record.errors import DimosRecordError, EditError, OptionError

if TYPE_CHECKING:
    from dimos_record import RecordReplay
    from dimos_record.replay.player import Player

_MIN_RATE, _MAX_RATE = 0.01, 1000.0


class TransportState(NamedTuple):
    """Where playback is, for the screen."""

    state: str = "stopped"
    """`playing`, `paused`, `finished`, `stopped`; `listening` for others before the first play."""
    position_ns: int = 0
    rate: float = 1.0
    a_ns: int | None = None
    b_ns: int | None = None
    """The section that is looped; without B it has only begun to be set."""
    where: str = ""
    """What it is published to; what it would be published to, while nothing is."""
    published: int | None = None
    """Messages, since playback began; None before that."""
    late: int = 0
    max_late_s: float = 0.0
    muted: frozenset[str] = frozenset()
    soloed: frozenset[str] = frozenset()
    """Topics."""


class Transport:
    """Plays a recording as the keys say. Commands may block, so no screen may call them itself.

    Nothing is published before `toggle` is called for the first time: until then the playhead
    moves, and no more.

    Args:
        rec: the recording; it belongs to the caller.
        bus_url: where it will be played to, for the screen; the default bus if None.
    """

    def __init__(self, rec: RecordReplay, bus_url: str | None = None) -> None:
        self._rec = rec
        self._bus_url = bus_url or default_url()
        self._rate = 1.0
        self._a_s: float | None = None
        self._b_s: float | None = None
        self._muted: set[str] = set()
        self._soloed: set[str] = set()

    @property
    def player(self) -> Player | None:
        """The player, unless nothing was played yet, or it has failed."""
        player = self._rec.player
        return None if player is None or player.closed else player

    @property
    def position_ns(self) -> int:
        """Where the playhead is."""
        return round(self._rec.get_seek() * S)

    def state(self) -> TransportState:
        """Where playback is.

        Raises:
            Exception: what went wrong while playing; said once.
        """
        self._raise_failure()
        player = self.player
        stats = None if player is None else player.stats
        return TransportState(
            state="stopped" if stats is None else stats.state,
            position_ns=self.position_ns,
            rate=self._rate if player is None else player.rate,
            a_ns=None if self._a_s is None else round(self._a_s * S),
            b_ns=None if self._b_s is None else round(self._b_s * S),
            where=self._bus_url if stats is None else self._rec.bus.reach,
            published=None if stats is None else stats.published,
            late=0 if stats is None else stats.late,
            max_late_s=0.0 if stats is None else stats.max_late_s,
            muted=frozenset(self._muted),
            soloed=frozenset(self._soloed),
        )

    def _raise_failure(self) -> None:
        """A player that has failed is dropped; the playhead stays where it was."""
        player = self._rec.player
        if player is not None and player.closed:
            self._rec.stop_playback()

    # --- playing

    def toggle(self) -> None:
        """Play, or pause.

        Raises:
            EditError: there is nothing to play.
            PublisherConflict: somebody is publishing one of the topics right now.
            CommandsRefused: commands would reach beyond this machine.
            BusError: the bus cannot be opened.
        """
        player = self.player
        if player is not None:
            player.toggle()
            return
        if self._rec.reader.span_ns() is None:
            raise EditError(f"{self._rec.reader.name} has no messages to play")
        self.seek(self.position_ns)  # an edit may have cut the end off
        topics = {info.topic for info in self._rec.reader.streams.values()}
        unheard = [literal(topic) for topic in topics if not self._hears(topic)]
        if len(unheard) == len(topics):
            raise EditError("All streams are muted; m lets one be heard")
        self._rec.play(self._rate, loop=self._loop(), exclude=unheard)

    def _loop(self) -> bool | tuple[float, float]:
        return False if self._a_s is None or self._b_s is None else (self._a_s, self._b_s)

    def seek(self, position_ns: int) -> None:
        """Move the playhead; within the recording, whatever is asked for."""
        end_s = self._end_s()
        self._rec.seek(min(max(position_ns / S, 0.0), end_s))

    def seek_by(self, seconds: float) -> None:
        """Move the playhead forward, or back."""
        self.seek(self.position_ns + round(seconds * S))

    def seek_share(self, share: float) -> None:
        """Move the playhead to a share of the recording, from 0 to 1."""
        self.seek(round(self._end_s() * share * S))

    def _end_s(self) -> float:
        reader = self._rec.reader
        span = reader.span_ns()
        return 0.0 if span is None else (span[1] - reader.origin_ns()) / S

    def multiply_rate(self, factor: float) -> None:
        """Play faster (above 1) or slower."""
        self.set_rate(self.state().rate * factor)

    def set_rate(self, rate: float) -> None:
        """Play at another rate."""
        if not _MIN_RATE <= rate <= _MAX_RATE:
            raise OptionError(f"the rate stays within {_MIN_RATE} and {_MAX_RATE:g}")
        self._rate = rate
        if self.player is not None:
            self.player.set_rate(rate)

    def step(self, forward: bool, topic: str | None = None) -> None:
        """Go to the next message, or to the one before, and pause there; published, once it plays.

        Args:
            topic: of this topic; of any that is heard if None.

        Raises:
            DimosRecordError: there is none.
        """
        player = self.player
        if player is None:
            found = self._move_to_next(forward, topic)
        elif forward:
            found = player.play_next(topics=topic) > 0
        else:
            found = player.play_previous(topics=topic) > 0
        if not found:
            where = "after" if forward else "before"
            raise DimosRecordError(f"There is no message {where} this one")

    def _move_to_next(self, forward: bool, topic: str | None) -> bool:
        reader = self._rec.reader
        streams = [
            name
            for name, info in reader.streams.items()
            if (self._hears(info.topic) if topic is None else info.topic == topic)
        ]
        here_ns = reader.origin_ns() + self.position_ns
        found_ns = next_message(reader, streams, here_ns, forward=forward)
        if found_ns is not None:
            self._rec.seek(max(0.0, (found_ns - reader.origin_ns()) / S))
        return found_ns is not None

    # --- what is heard

    def mute(self, topic: str) -> None:
        """Play a topic no more, or again."""
        self._muted ^= {topic}
        self._mix()

    def solo(self, topic: str) -> None:
        """Play this topic and the others that are soloed, and nothing else; or end that."""
        self._soloed ^= {topic}
        self._mix()

    def _mix(self) -> None:
        """Let the player play what is to be heard.

        What was not to be heard when it began was left out: it may be published by somebody else,
        or be refused. So a new player begins where this one is, which looks again.
        """
        player = self.player
        if player is None:
            return
        topics = {info.topic for info in self._rec.reader.streams.values()}
        played = {info.topic for info in player.streams}
        heard = {topic for topic in topics if self._hears(topic)}
        if heard - played - {*player.left_out}:
            was_playing = player.state == "playing"
            self._rec.stop_playback()
            if was_playing:
                self.toggle()
        else:
            player.mute(*(played - heard))
            player.unmute(*(player.muted & heard & played))

    def _hears(self, topic: str) -> bool:
        return topic not in self._muted and (not self._soloed or topic in self._soloed)

    def loop(self) -> str:
        """Set A, then B, then end the loop, as `l` does in mpv; returns what was done."""
        here_s = self._rec.get_seek()
        if self._b_s is not None:
            self._a_s = self._b_s = None
            if self.player is not None:
                self.player.loop(None)
            return "The loop has ended"
        if self._a_s is None:
            self._a_s = here_s
            return f"A at {clock(here_s)}; l again sets B"
        if here_s == self._a_s:
            raise EditError(f"B cannot be at {clock(here_s)}, where A is; move on and press l")
        a_s, b_s = sorted((self._a_s, here_s))
        if self.player is not None:
            self.player.loop(a_s, b_s)
        self._a_s, self._b_s = a_s, b_s
        return f"Looping {clock(a_s)}-{clock(b_s)}"

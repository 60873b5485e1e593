"""A recording session: from the bus, through the tap and the buffer, into the writer.

Four threads: the bus's own, which only appends to the buffer; the writer's, which commits batches;
the copier's, which copies the log into the file; the keeper's, which flushes and watches the disk,
the clock and the losses.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from dimos_record.bus.base import Bus, Selection, Subscription, split_channel
from dimos_record.bus.played import Watch
from dimos_record.errors import BusError, DimosRecordError, MessagesLost
from dimos_record.record.buffer import TapBuffer
from dimos_record.record.codec_choice import codec_chooser
from dimos_record.record.keep_loop import KeepLoop
from dimos_record.record.keeper import ClockWatch, DiskReserve, FileKeeper, check_room
from dimos_record.record.options import RecordOptions
from dimos_record.record.origin import Origin
from dimos_record.record.progress import Progress
from dimos_record.record.provenance import describe_session
from dimos_record.record.sender_watch import Counts, SenderWatch, between, dropped_between
from dimos_record.record.trigger import KeepTrigger
from dimos_record.record.write_loop import WriteLoop
from dimos_record.store.malloc import keep_freed_memory
from dimos_record.store.ring import SESSION_KEY, Ring
from dimos_record.store.senders import KEY as SENDERS
from dimos_record.store.senders import losses_in_words, to_meta
from dimos_record.store.target import Target
from dimos_record.store.writer import CodecChooser, RecordingWriter

_NOTHING = Selection(())
CATCH_UP_S = 0.5
"""How long, at the end, to go on receiving what had arrived before; overload has no end."""
ASKING_S = 0.2
"""How long, while it runs, to wait for an answer whether everything that had arrived is here."""

log = logging.getLogger("dimos_record")


class RecordingSession:
    """One start-to-stop of recording from a bus. A context manager; else call `stop`."""

    def __init__(
        self,
        bus: Bus,
        target: Target,
        selection: Selection,
        options: RecordOptions,
        origin: Origin | None = None,
    ) -> None:
        self._bus, self._target, self._options = bus, target, options
        self._origin = origin or Origin()
        self._selection, self._paused = selection, False
        self._buffer = TapBuffer(options.buffer_bytes)
        self._clock = ClockWatch()
        self._ring = _ring(target, options)
        self._loop = WriteLoop(
            target,
            self._buffer,
            options,
            self._clock,
            begin_session=self._begin_session,
            note_losses=self._note_losses,
            end_input=self._end_input,
            lost=self._lost_before_reception,
            ring=self._ring,
        )
        self._reserve: DiskReserve | None = None
        self._changing = threading.Lock()
        self._subscription: Subscription | None = None
        self._ending = False
        self._players: Watch | None = None
        self._played: frozenset[str] = frozenset()
        """Channels that are left out, since this process plays them."""
        self._choose_codec: CodecChooser | None = None
        self._meta: dict[str, Any] = {}
        self._keep_loop = KeepLoop(
            self._loop,
            self._buffer,
            options,
            self._clock,
            ask_bus=self._ask_bus,
            bus_failure=self._look_at_bus,
            losses=self._losses_on_the_way,
            keep_log=self._keep_log,
            ring=self._ring,
        )
        self._trigger = _trigger(bus, target, options, self._clock)
        self._bus_failure: BusError | None = None
        self._senders = SenderWatch(bus)
        self._heard: Counts = {}
        self._heard_before_segment: Counts = {}
        self._noted_selection = _NOTHING
        """What was being received when losses were last noted."""
        self._noting = threading.Lock()
        """Held while `_meta` changes."""
        self._lost_at_start: int | None = None
        self._lost_at_end: int | None = None

    def start(self) -> RecordingSession:
        """Subscribe and record; returns once the subscription stands.

        Raises:
            DiskFull: there is not even room to begin.
            OptionError, PatternError: a codec cannot be chosen, or a pattern cannot be read.
            RecordingBusy: somebody else has just begun to record into it.
            BusError: the bus cannot be subscribed to.
            Nothing is left behind then, and what was to be replaced is still there.
        """
        keep_freed_memory()
        try:
            self._reserve_room()
            self._choose_codec = codec_chooser(self._options.codecs)
            self._meta = describe_session(self._bus.url, self._bus.reach) | {
                "include": list(self._selection.include),
                "exclude": list(self._selection.exclude),
                "left_out_played": [],
                SENDERS: [],
                **self._origin.meta,
            }
            if self._ring is not None:
                self._meta[SESSION_KEY] = {
                    "ring_s": self._options.ring_s,
                    "ring_bytes": self._options.ring_bytes,
                }
            start_ns = self._clock.now_ns()
            self._heard = self._senders.start()
            self._subscribe()
            self._lost_at_start = self._bus.lost_before_reception()
            self._begin_session(self._target.writer, start_ns)
            if self._trigger is not None:
                self._trigger.start()
        except BaseException:
            self._end_input()
            self._target.undo()
            raise
        self._target.begun()
        self._loop.start(start_ns)
        self._keep_loop.start()
        return self

    def _subscribe(self) -> None:
        self._players = Watch(self._bus, self._follow_players)
        with self._changing:
            self._played = self._players.channels
            wanted = self._without_played(self._selection)
            self._subscription = self._bus.subscribe_arrivals(wanted, self._buffer.tap)
            self._note_what_is_left_out(self._selection)

    def _begin_session(self, writer: RecordingWriter, start_ns: int) -> None:
        """Begin the session in a segment, whose `meta` is from now on the live one."""
        if self._options.durability == "full":
            writer.flush_every_commit()
        with self._noting:
            meta = {**self._meta, SENDERS: []}
            writer.begin_session(
                start_ns,
                meta,
                split=split_channel,
                bus=self._bus.url,
                choose_codec=self._choose_codec,
                dropped=self._buffer.dropped,
                sources=self._origin.sources,
            )
            self._meta, self._heard_before_segment = meta, self._heard

    def _note_losses(self) -> None:
        with self._noting:
            self._note_senders()

    def _note_senders(self) -> None:
        """Have it written down with the account what came from each sender in this segment."""
        before, self._heard = self._heard, self._senders.now()
        self._meta[SENDERS] = to_meta(between(self._heard_before_segment, self._heard))
        subscription = self._subscription
        if subscription is not None:
            earlier, self._noted_selection = self._noted_selection, subscription.selection
            selections = earlier, self._noted_selection
            self._buffer.count_dropped(dropped_between(before, self._heard, selections))

    def _reserve_room(self) -> None:
        path = self._target.writer.path
        if not isinstance(path, Path):
            return
        wanted, keeper = self._options.min_free_bytes, FileKeeper(path)
        while self._ring is not None and (missing := wanted - keeper.room()) > 0:
            if not self._ring.make_room(missing, {path}):
                break
        check_room(path, self._options.min_free_bytes)
        self._reserve = DiskReserve(path.parent)

    def stop(self, reason: str = "stopped") -> Progress:
        """Finish the file: write what has arrived, then make it self-contained. May be repeated.

        Raises:
            MessagesLost: `strict` was asked for and something was lost.
            BusError: the bus failed, or was closed; what had arrived before is in the file.
            DimosRecordError: writing failed; what was written before is safe.
        """
        if self._trigger is not None:
            self._trigger.close()
        self._loop.request_stop(reason)
        self._loop.join()
        self._keep_loop.join()
        if self._loop.error is not None:
            raise self._loop.error
        if self._bus_failure is not None:
            raise self._bus_failure
        progress = self.progress()
        if self._options.strict and progress.lost:
            _, lost = self._losses_on_the_way()
            raise MessagesLost(
                f"{self._target.writer.path}: {progress.total.dropped:,} messages were dropped and "
                f"{lost} were lost before reception"
            )
        return progress

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the session has ended by itself (a limit, a full disk, an error)."""
        return self._loop.ended.wait(timeout_s)

    def __enter__(self) -> RecordingSession:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def selection(self) -> Selection:
        """The topics that are being recorded."""
        return self._selection

    def select(self, selection: Selection) -> None:
        """Record other topics from now on; those that stay lose nothing."""
        with self._changing:
            if self._subscription is not None and not self._paused and not self._ending:
                self._reselect(self._subscription, selection)
                self._note_what_is_left_out(selection)
                if self._trigger is not None:
                    self._trigger.reselect()
            self._selection = selection

    def pause(self) -> None:
        """Record nothing until `resume`; the session goes on."""
        with self._changing:
            if self._subscription is not None and not self._paused and not self._ending:
                self._subscription.catch_up(CATCH_UP_S)
                self._reselect(self._subscription, _NOTHING)
                self._paused = True

    def resume(self) -> None:
        """Go on recording after `pause`; the pause does not count as a gap."""
        with self._changing:
            if self._subscription is not None and self._paused and not self._ending:
                self._loop.writer.forget_gaps()
                self._reselect(self._subscription, self._selection)
                self._paused = False

    def _reselect(self, subscription: Subscription, selection: Selection) -> None:
        """Receive other topics; what found no room counts if it was selected at the time."""
        self._note_losses()
        subscription.reselect(self._without_played(selection))
        self._note_losses()

    def _without_played(self, selection: Selection) -> Selection:
        return selection.without(sorted({split_channel(one)[0] for one in self._played}))

    def _follow_players(self) -> None:
        """Leave out what this process plays, from before it is published until it has passed."""
        with self._changing:
            subscription = self._subscription  # the end of the session takes it away any time
            if subscription is None or self._players is None:
                return
            playing = self._players.channels
            ended = self._played - playing
            if ended and not subscription.catch_up(CATCH_UP_S):
                playing |= ended  # some of it may still be on its way: the keeper asks again
            if playing == self._played:
                return
            self._played = playing
            if not self._paused:
                # one that is closed, or whose bus failed, receives nothing anyway
                with suppress(BusError):
                    self._reselect(subscription, self._selection)
            self._note_what_is_left_out(self._selection)

    def _note_what_is_left_out(self, selection: Selection) -> None:
        played = {split_channel(one)[0] for one in self._played if selection.matches(one)}
        noted = self._meta["left_out_played"]
        if new := sorted(played.difference(noted)):
            with self._noting:
                self._meta["left_out_played"] = sorted({*noted, *new})
            log.warning(
                "%s: not recorded while this process plays %s; to record what is played, "
                "play it from another process",
                ", ".join(new),
                "it" if len(new) == 1 else "them",
            )

    def now_ns(self) -> int:
        """The receive time of now, which a step of the wall clock does not change."""
        return self._clock.now_ns()

    @property
    def finishing(self) -> bool:
        """Whether nothing more is received: the file is being finished, or is finished."""
        return self._loop.finishing

    @property
    def writer(self) -> RecordingWriter:
        """The writer of the current segment."""
        return self._loop.writer

    def progress(self) -> Progress:
        """Where the session stands."""
        return Progress(
            elapsed_s=self._loop.elapsed_s,
            waiting_bytes=self._buffer.waiting_bytes,
            lost_before_reception=self._lost_before_reception(),
            clock_jumps=self._clock.jumps,
            segments=self._loop.segments,
            paused=self._paused,
            reason=self._loop.reason,
            self_contained=self._loop.self_contained,
            kept=tuple(map(str, self._trigger.kept)) if self._trigger is not None else (),
            accounts=self._loop.accounts(),
            senders=self._senders.accounts(),
        )

    def _lost_before_reception(self) -> int | None:
        if self._lost_at_end is not None or self._lost_at_start is None:
            return self._lost_at_end
        now = self._bus.lost_before_reception()
        return None if now is None else now - self._lost_at_start

    def _look_at_bus(self) -> BusError | None:
        if self._players is not None and self._played - self._players.channels:
            self._follow_players()
        return self._find_bus_failure()

    def _ask_bus(self) -> bool:
        """Note what came from whom; whether all is in the buffer that had arrived before."""
        self._note_losses()
        subscription = self._subscription
        return subscription is not None and subscription.catch_up(ASKING_S)

    def _losses_on_the_way(self) -> tuple[int, str]:
        """How much was lost before reception, and what, for people."""
        senders, packets = self._senders.accounts(), self._lost_before_reception() or 0
        if messages := sum(one.lost for one in senders):
            return messages, losses_in_words(senders)
        return packets, f"{packets:,} packets"

    def _keep_log(self) -> None:
        """Write down what the recorded program has logged, and what is known of it by now."""
        with self._noting:
            self._meta.update(self._origin.meta)
        lines = self._origin.log() if self._origin.log is not None else []
        if lines:
            self._loop.writer.write_log(lines)

    def _find_bus_failure(self) -> BusError | None:
        subscription = self._subscription
        if subscription is not None:
            self._bus_failure = subscription.failure
        return self._bus_failure

    def _end_input(self) -> None:
        """Receive nothing more, and make room for the end; what has arrived stays in the buffer."""
        if self._reserve is not None:
            self._reserve.release()
        with self._changing:
            self._ending = True
        # Not under the lock: a callback of the bus may wait for it, and closing for the callback.
        if self._subscription is not None:
            self._find_bus_failure()
            self._subscription.catch_up(CATCH_UP_S)
            self._lost_at_end = self._lost_before_reception()
            self._senders.end()
            self._note_losses()
            self._subscription.close()
            self._subscription = None
        if self._players is not None:
            self._players.close()
        if self._trigger is not None:
            self._trigger.end()
        try:
            self._keep_log()
        except DimosRecordError as error:
            log.warning("the last lines of the log are missing: %s", error)


def _ring(target: Target, options: RecordOptions) -> Ring | None:
    path = target.writer.path
    if not (options.is_ring and isinstance(path, Path)):
        return None
    return Ring(path.parent, options.ring_s, options.ring_bytes)


def _trigger(
    bus: Bus, target: Target, options: RecordOptions, clock: ClockWatch
) -> KeepTrigger | None:
    path = target.writer.path
    if options.keep_on is None or not isinstance(path, Path):
        return None
    return KeepTrigger(bus, path.parent, options.keep_on, options.kept_s, clock)

"""The keeper's thread: once a second it looks after the file, the disk, the clock and losses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from dimos_record.errors import BusError, DimosRecordError
from dimos_record.record.buffer import TapBuffer
from dimos_record.record.keeper import ClockWatch, FileKeeper, taken_away
from dimos_record.record.options import RecordOptions
from dimos_record.record.write_loop import WriteLoop
from dimos_record.store.ring import Ring

KEEP_S = 1.0

log = logging.getLogger("dimos_record")


class KeepLoop:
    """Runs beside a `WriteLoop` and ends with it."""

    def __init__(
        self,
        loop: WriteLoop,
        buffer: TapBuffer,
        options: RecordOptions,
        clock: ClockWatch,
        *,
        ask_bus: Callable[[], bool],
        bus_failure: Callable[[], BusError | None],
        losses: Callable[[], tuple[int, str]],
        keep_log: Callable[[], None],
        ring: Ring | None = None,
    ) -> None:
        self._loop, self._buffer, self._options, self._clock = loop, buffer, options, clock
        self._ask_bus, self._bus_failure, self._losses = ask_bus, bus_failure, losses
        self._keep_log = keep_log
        self._ring = ring
        self._keeper: FileKeeper | None = None
        self._warned_dropped = self._warned_lost = 0
        self._not_written = self._not_taken = 0
        """Messages of which the cause of their loss has been told."""
        self._thread = threading.Thread(target=self._run, name="dimos-record-keeper")

    def start(self) -> None:
        """Begin to look after the recording."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the last round."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._loop.stop_requested.wait(KEEP_S):
            if not threading.main_thread().is_alive():  # nobody is left who could stop it
                self._loop.request_stop("end of the program")
                break
            self._round()
        with suppress(OSError):
            self._look_for_file()

    def _round(self) -> None:
        try:
            if not self._look_for_file():
                return
            self._look_after_file()
            self._look_at_clock()
            if self._ring is not None:
                self._ring.trim(self._loop.busy(), self._loop.current_s)
            self._keep_log()
        except (OSError, DimosRecordError) as error:
            log.warning("while looking after the recording: %s", error)
        self._warn_of_losses()
        if self._bus_failure() is not None:
            self._loop.request_stop("bus failed")

    def _look_for_file(self) -> bool:
        """Whether the file is still there; if not, what is written to it cannot be found."""
        path = self._loop.writer.path
        if not isinstance(path, Path):
            return True
        if self._keeper is None or self._keeper.path != path:
            self._keeper = FileKeeper(path)
        if self._keeper.is_in_place():
            return True
        self._loop.fail(taken_away(path))
        return False

    def _look_after_file(self) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        missing = self._options.min_free_bytes - keeper.room()
        if missing > 0 and not (self._ring and self._ring.make_room(missing, self._loop.busy())):
            least_mb = self._options.min_free_bytes / 1e6
            log.warning(
                "%s: recording stops, since %s",
                keeper.path,
                f"less than {least_mb:.0f} MB are free on the disk"
                if least_mb
                else "what is free on the disk is needed to finish the file",
            )
            self._loop.request_stop("disk nearly full")
            return
        keeper.sync()

    def _look_at_clock(self) -> None:
        asked_ns = self._clock.now_ns()
        if self._ask_bus():
            self._loop.arrived_until(asked_ns)
        ts_ns, wall_ns, jump_ns = self._clock.sample()
        self._loop.writer.note_progress(ts_ns, wall_ns, self._loop.complete_until_ns)
        if jump_ns:
            log.warning(
                "the wall clock jumped by %+.3f s; receive times go on without the jump",
                jump_ns / 1e9,
            )

    def _warn_of_losses(self) -> None:
        dropped = self._loop.dropped
        if dropped > self._warned_dropped:
            worst = sorted(self._buffer.dropped.items(), key=lambda item: -item[1])[:3]
            log.warning(
                "%d messages dropped so far (%s)%s",
                dropped,
                ", ".join(f"{channel}: {count}" for channel, count in worst),
                "".join(self._new_causes()),
            )
            self._warned_dropped = dropped
        lost, what = self._losses()
        if lost > self._warned_lost:
            log.warning(
                "%s were lost before reception so far: the kernel's receive buffer was full, or "
                "the network lost them",
                what,
            )
            self._warned_lost = lost

    def _new_causes(self) -> Iterator[str]:
        """Why messages were dropped since this was asked before."""
        not_written, not_taken = self._buffer.not_written, self._buffer.not_taken
        if not_written > self._not_written:
            yield (
                "; the buffer is full, since the disk is too slow or another program keeps the "
                "file locked"
            )
        if not_taken > self._not_taken:
            yield "; this program was too busy to take what arrived, with a callback for example"
        self._not_written, self._not_taken = not_written, not_taken

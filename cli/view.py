"""`dimos-record view`: a recording, or what is on the bus, in the Rerun viewer."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from dimos_record.cli.editing import Overwrite, Quiet, Topics, counted
from dimos_record.cli.running import BusUrl, say, stop_signals
from dimos_record.cli.text import printable

if TYPE_CHECKING:
    from dimos_record.record_replay import RecordReplay
    from dimos_record.replay.view import ReplayView
    from dimos_record.store.base import StreamInfo
    from dimos_record.viewer import RecordingLogger, Unshown
    from dimos_record.viewer.live import LiveLogger
    from dimos_record.viewer.sinks import Sink

_LOOK_EVERY_S = 1.0
_HINT_AFTER_S = 3.0
_LIVE_MEMORY, _FILE_MEMORY = "2GB", "75%"

Connect = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A viewer that runs already: HOST:PORT, here or elsewhere."),
]
Preset = Annotated[
    str,
    typer.Option(metavar="NAME", help="Where the 3D view looks from: follow, top, side or front."),
]
MaxRate = Annotated[
    float | None,
    typer.Option(
        metavar="HZ",
        help="At most so many messages per second of each topic, but all transforms, markers, "
        "texts and latched messages.",
    ),
]


def view(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="A recording, or the folder of its segments."),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC",
            help="Topics to show, patterns allowed ('/camera/*'); none means all. With --live, all "
            "arguments are topics.",
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Show what is on the bus, until Ctrl-C.")
    ] = False,
    topics: Topics = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", metavar="TOPIC", help="A topic to leave out; repeatable."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only from here: 12.5, 1:30, -10.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Only up to here.")] = None,
    save: Annotated[
        str | None, typer.Option(metavar="FILE.rrd", help="Into a file that Rerun opens.")
    ] = None,
    overwrite: Overwrite = False,
    connect: Connect = None,
    web: Annotated[
        bool, typer.Option("--web", help="In a browser of this machine, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=1, max=65535, help="With --web: of the page. Default: 9090."
        ),
    ] = None,
    preset: Preset = "follow",
    max_rate: MaxRate = None,
    jpeg: Annotated[
        bool,
        typer.Option(
            "--jpeg",
            help="Send pictures as JPEG, a tenth of the size, but not exactly what they were: for "
            "a viewer behind a network.",
        ),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="What the viewer may use before it forgets the oldest: 4GB, 50%. Default: 75%, "
            "with --live 2GB.",
        ),
    ] = None,
    bus: BusUrl = None,
    quiet: Quiet = False,
) -> None:
    """Show a recording, or what is on the bus, in the Rerun viewer.

    Opens the viewer's window, or uses the one that is open; the window stays. The layout is made
    for what there is: the world in 3D, each camera, curves, a log with the markers. Timelines:
    position (from the start), time (received), stamp (in the header), message (number).

    With --live, what a player or the terminal program plays is seen, too.

    Examples:

      dimos-record view walk.db

      dimos-record view walk.db -t /odom -t '/tf*' --start 1:05 --end +10 --preset top

      dimos-record view walk.db --save walk.rrd

      dimos-record view --live --web
    """
    from dimos_record import RecordReplay
    from dimos_record.viewer.logger import check_max_rate
    from dimos_record.viewer.presets import check_preset
    from dimos_record.viewer.program import need_rerun

    need_rerun()
    _refuse(
        (not live and file is None, "name a recording to view, or say --live for the bus"),
        (not live and bus is not None, "--bus says where --live listens; a recording needs none"),
        (
            live and (start or end or save),
            "--live shows the bus, and has no --start, --end, --save",
        ),
        (
            bool(save) + bool(connect) + web > 1,
            "--save, --connect and --web contradict each other; give one of them",
        ),
        (port is not None and not web, "--port is that of the page of --web; give both, or none"),
        (jpeg and save, "--jpeg is for what is sent to a viewer; a file of --save has all pixels"),
        (overwrite and not save, "--overwrite replaces the file of --save; give both, or none"),
        (
            memory and (save or connect),
            "--memory is for a viewer that is started here; leave out --save and --connect",
        ),
    )
    place = _Place(connect, web, port, _memory(memory, live=live))
    wanted = [*(topics or []), *(more or [])]
    check_max_rate(max_rate)
    how = _How(check_preset(preset), max_rate, jpeg, quiet)
    if file is None or live:
        heard = [*([file] if file is not None else []), *wanted]
        _show_bus(bus, heard or ["*"], exclude or [], place, how)
        return
    with RecordReplay(file) as rec:
        shown = _section(rec.select(wanted or "*", exclude or ()), rec, start, end)
        if save is not None:
            _save(shown, save, how, overwrite=overwrite)
        else:
            _show_file(shown, place, how)


class _How(NamedTuple):
    """How things are shown."""

    preset: str
    max_rate_hz: float | None
    jpeg: bool
    quiet: bool

    def logger(self, sink: Sink, streams: Sequence[StreamInfo], origin_ns: int) -> RecordingLogger:
        """What logs into a viewer in this way."""
        from dimos_record.viewer import RecordingLogger

        return RecordingLogger(
            sink.recording, streams, origin_ns, max_rate_hz=self.max_rate_hz, jpeg=self.jpeg
        )


class _Place(NamedTuple):
    """Where they are shown."""

    connect: str | None
    web: bool
    port: int | None
    memory: str

    def open(self, name: str) -> AbstractContextManager[Sink]:
        from dimos_record.viewer import program, sinks

        if self.connect is not None:
            return sinks.connected(self.connect, name=name)
        if self.web:
            port = program.WEB_PORT if self.port is None else self.port
            return sinks.browser(name=name, memory=self.memory, port=port)
        return sinks.window(name=name, memory=self.memory)


def _refuse(*wrong: tuple[object, str]) -> None:
    """Refuse what makes no sense: whether it is so, and the sentence about it."""
    from dimos_record.errors import OptionError

    for is_so, sentence in wrong:
        if is_so:
            raise OptionError(sentence)


def _memory(wanted: str | None, *, live: bool) -> str:
    """A size or a share of the memory, as Rerun takes it."""
    from dimos_record.errors import OptionError
    from dimos_record.record.options import parse_size

    if wanted is None:
        return _LIVE_MEMORY if live else _FILE_MEMORY
    share = wanted.removesuffix("%")
    if share == wanted:
        return f"{parse_size(wanted, '--memory')}B"
    if not (share.isascii() and share.isdecimal() and 0 < int(share[:4]) <= 100):
        raise OptionError(f"--memory: {wanted!r} is no share; write for example 50%, or 2GB")
    return wanted


def _section(
    shown: ReplayView, rec: RecordReplay, start: str | None, end: str | None
) -> ReplayView:
    from dimos_record.cli.times import Timescale, parse_start_and_end

    a_s, b_s = parse_start_and_end(start, end, Timescale.of(rec.reader))
    return shown if a_s is None and b_s is None else shown.between(a_s, b_s)


def _save(shown: ReplayView, save: str, how: _How, *, overwrite: bool) -> None:
    from dimos_record.cli.text import size

    with _progress(f"Writing {save}", how) as progress:
        report = shown.export(
            save,
            "rrd",
            overwrite=overwrite,
            on_progress=progress,
            preset=how.preset,
            max_rate_hz=how.max_rate_hz,
        )
    for loss in report.losses:
        say(f"Not shown: {printable(loss.topic)}: {counted(loss.count)}, {loss.what}")
    say(f"{report.path}: {report.messages:,} messages, {size(report.bytes)}")


def _show_file(shown: ReplayView, place: _Place, how: _How) -> None:
    from dimos_record.viewer.recorded import log_view

    name = Path(shown.name).name
    with place.open(name) as sink:
        logger = how.logger(sink, shown.streams, shown.origin_ns())
        say(f"Showing {shown.name} in {sink.place}")
        with _progress(f"Showing {name}", how) as progress:
            logged = log_view(shown, logger, how.preset, progress)
        sink.flush()
        say_unshown(logger.unshown)
        say(f"{logged:,} messages are in the viewer" + ("; Ctrl-C ends" if place.web else ""))
        if place.web:
            with stop_signals() as stop:
                while not (stop.wait(_LOOK_EVERY_S) or sink.closed):
                    pass


@contextmanager
def _progress(doing: str, how: _How) -> Iterator[Callable[[int, int], None]]:
    """A line that shows how far it is; Ctrl-C cancels."""
    from dimos_record.cli.progress import ReadingLine

    with stop_signals() as stop, ReadingLine(doing, shown=not how.quiet) as line:

        def on_progress(done: int, total: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            line.update(done, total)

        yield on_progress


def _show_bus(
    url: str | None, topics: list[str], exclude: list[str], place: _Place, how: _How
) -> None:
    from dimos_record.bus import Selection, open_bus
    from dimos_record.viewer.live import LiveLogger

    selection = Selection.of(topics, exclude)
    with open_bus(url) as bus, stop_signals() as stop, place.open("live") as sink:
        logger = how.logger(sink, (), time.time_ns())
        live = LiveLogger(logger, how.preset)
        subscription = bus.subscribe(selection, live.inbox.put)
        try:
            say(f"Showing {bus.reach} in {sink.place}; Ctrl-C ends")
            live.run(_End(stop, sink, live, bus.reach))
        finally:
            subscription.close()
        if not stop.is_set():
            say("The viewer was closed")
        say_unshown(logger.unshown)
        say_shown(live)


class _End:
    """Whether the view of a bus is over: Ctrl-C, or the viewer was closed."""

    def __init__(self, stop: threading.Event, sink: Sink, live: LiveLogger, reach: str) -> None:
        self._stop, self._sink, self._live, self._reach = stop, sink, live, reach
        self._next_look_s = 0.0
        self._hint_at_s = time.monotonic() + _HINT_AFTER_S

    def __call__(self) -> bool:
        """Looks now and then, and says when nothing arrives."""
        now_s = time.monotonic()
        if self._stop.is_set():
            return True
        if now_s > self._hint_at_s and not self._live.received:
            say(f"Nothing has arrived yet on {self._reach}")
            self._hint_at_s = math.inf
        if now_s < self._next_look_s:
            return False
        self._next_look_s = now_s + _LOOK_EVERY_S
        return self._sink.closed


def say_shown(live: LiveLogger) -> None:
    """How many messages were shown, and how many came too fast."""
    skipped = live.inbox.skipped
    too_fast = f"; {skipped:,} were skipped, they came faster than they can be shown" * bool(
        skipped
    )
    say(f"Shown {live.logged:,} messages{too_fast}")


def say_unshown(unshown: list[Unshown]) -> None:
    """List what the viewer does not get, once per topic."""
    for one in unshown:
        what = f" ({one.type_name})" if one.type_name else ""
        say(f"Not shown: {printable(one.topic)}{what}: {counted(one.count)}, {one.reason}")
